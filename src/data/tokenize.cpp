#include "data/tokenize.h"

#include <unistd.h>

#include <numeric>

#include "base/error.h"
#include "data/binidx.h"
#include "data/binidx_writer.h"
#include "data/json_text.h"
#include "data/mt19937.h"
#include "data/ordered_pipeline.h"
#include "data/text_blocks.h"
#include "data/text_error.h"

namespace rk {
namespace {

// A block and what became of it. Places are relative to the block, as only the consumer knows how many lines were before.
struct Work {
  TextBlock block;
  std::vector<int32_t> ids;
  std::vector<int64_t> document_sizes;  // of lines; tokens of a document's part belong to no entry
  int64_t n_lines = 0;
  bool has_mark = false;  // a byte order mark was skipped

  struct Problem {
    std::string reason;
    int64_t line = 0;
    size_t column = 0, offset = 0;
  };
  std::optional<Problem> problem;
  std::unique_ptr<CharacterSet> characters;

  void reset() {
    ids.clear();
    document_sizes.clear();
    n_lines = 0;
    has_mark = false;
    problem.reset();
  }
};

// Calls text(line's text) for every document of a block of lines, and notes the first thing that is wrong.
template <class Text>
void read_lines(Work& work, Text&& text) {
  std::string_view bytes = work.block.bytes;
  work.has_mark = work.block.first && bytes.starts_with("\xEF\xBB\xBF");
  const size_t skipped = work.has_mark ? 3 : 0;
  std::string unescaped;
  work.n_lines = for_each_line(bytes.substr(skipped), [&](std::string_view line, size_t offset, int64_t number) {
    if (work.problem) return;
    const std::string_view object = strip_white_space(line);
    if (object.empty()) return;
    const size_t indent = static_cast<size_t>(object.data() - line.data());
    try {
      const std::string_view document = json_text(object, "text", unescaped);
      try {
        text(document);
      } catch (const TextError& e) {
        throw TextError(cat(e.what(), " (byte ", e.offset(), " of the text)"), size_t{0});
      }
    } catch (const TextError& e) {
      work.problem = {e.what(), number, indent + e.offset(), skipped + offset};
    }
  });
}

template <class Text>
void read_part(Work& work, Text&& text) {
  try {
    text(std::string_view(work.block.bytes));
  } catch (const TextError& e) {
    work.problem = {e.what(), 0, 0, e.offset()};
  }
}

// Follows the blocks in their order: counts lines, and refuses at the first problem.
class Position {
 public:
  explicit Position(const std::vector<TextFile>& files) : files_(files) {}

  void enter(const Work& work, std::vector<std::string>& warnings) {
    if (work.block.first) lines_ = 0;
    const TextFile& file = files_[work.block.file];
    const std::string name = file.path == "-" ? "standard input" : file.path;
    if (work.problem && file.kind == TextKind::lines) {
      fail(cat(name, ":", lines_ + work.problem->line + 1, ":", work.problem->column + 1, ": ", work.problem->reason));
    }
    if (work.problem)
      fail(cat(name, ": byte ", work.block.offset + static_cast<int64_t>(work.problem->offset), ": ", work.problem->reason));
    if (work.has_mark) warnings.push_back(cat(name, ":1: a byte order mark in front of the first line was skipped"));
    lines_ += work.n_lines;
    bytes_ += static_cast<int64_t>(work.block.bytes.size());
  }
  int64_t bytes() const { return bytes_; }

 private:
  const std::vector<TextFile>& files_;
  int64_t lines_ = 0, bytes_ = 0;
};

std::vector<TextFile> text_files_of(const std::vector<std::string>& inputs) {
  if (inputs.empty()) fail("no input files are given");
  std::vector<TextFile> files;
  for (const std::string& input : inputs) files.push_back(text_file_of(input));
  return files;
}

struct PassArgs {
  const std::vector<TextFile>& files;
  const Tokenizer& tokenizer;  // tells where documents may be cut
  int threads;
  size_t block_bytes;
};

void run_pass(const PassArgs& args, std::function<void(Work&)> work, std::function<void(Work&)> consume) {
  TextBlockReader reader(args.files, args.tokenizer, args.block_bytes);
  OrderedStages<Work> stages;
  stages.produce = [&reader](Work& item) { return reader.next(item.block); };
  stages.work = std::move(work);
  stages.consume = std::move(consume);
  stages.n_bytes = [](const Work& item) { return item.block.bytes.size(); };
  OrderedPipeline<Work>(std::move(stages), args.threads, 4 * args.block_bytes * static_cast<size_t>(args.threads)).run();
}

void encode_block(const Tokenizer& tokenizer, TextKind kind, Work& work) {
  work.reset();
  if (kind == TextKind::document) {
    read_part(work, [&](std::string_view text) { tokenizer.encode(text, work.ids); });
    return;
  }
  read_lines(work, [&](std::string_view text) {
    const size_t begin = work.ids.size();
    tokenizer.encode(text, work.ids);
    work.ids.push_back(tokenizer.end_of_document());
    work.document_sizes.push_back(static_cast<int64_t>(work.ids.size() - begin));
  });
}

void collect_block(TextKind kind, Work& work) {
  work.reset();
  work.characters = std::make_unique<CharacterSet>();
  const auto add = [&](std::string_view text) { work.characters->add(text); };
  if (kind == TextKind::document) {
    read_part(work, add);
  } else {
    read_lines(work, add);
  }
}

// Takes encoded blocks in order.
class DocumentSink {
 public:
  DocumentSink(const Tokenizer& tokenizer, const std::vector<TextFile>& files, BinidxWriter& writer)
      : tokenizer_(tokenizer), files_(files), writer_(writer) {}

  void take(const Work& work, std::vector<std::string>& warnings) {
    const TextFile& file = files_[work.block.file];
    if (file.kind == TextKind::lines) return take_lines(work);
    if (work.block.first && work.block.last && work.block.bytes.empty()) {
      warnings.push_back(cat(file.path == "-" ? "standard input" : file.path, ": empty, no document is made of it"));
      return;
    }
    writer_.append(work.ids);
    if (!work.block.last) return;
    const int32_t end = tokenizer_.end_of_document();
    writer_.append({&end, 1});
    writer_.end_sequence();
    writer_.end_document();
  }

 private:
  void take_lines(const Work& work) {
    std::span<const int32_t> ids = work.ids;
    for (int64_t size : work.document_sizes) {
      writer_.append(ids.first(static_cast<size_t>(size)));
      writer_.end_sequence();
      writer_.end_document();
      ids = ids.subspan(static_cast<size_t>(size));
    }
  }

  const Tokenizer& tokenizer_;
  const std::vector<TextFile>& files_;
  BinidxWriter& writer_;
};

std::string name_all(const std::vector<std::string>& inputs) {
  return inputs.size() == 1 ? inputs[0] : cat(inputs[0], " and ", inputs.size() - 1, " more");
}

// One pass over the inputs in their order.
TokenizeReport tokenize_once(const TokenizeArgs& args, const std::string& prefix) {
  require(args.tokenizer != nullptr && args.threads > 0, "a tokenizer and threads are given");
  const std::vector<TextFile> files = text_files_of(args.inputs);
  const Tokenizer& tokenizer = *args.tokenizer;
  TokenizeReport report;
  BinidxWriter writer({.prefix = prefix, .dtype = token_dtype(tokenizer.vocab_size())});
  DocumentSink sink(tokenizer, files, writer);
  Position position(files);
  run_pass(
      {files, tokenizer, args.threads, args.block_bytes}, [&](Work& work) { encode_block(tokenizer, files[work.block.file].kind, work); },
      [&](Work& work) {
        position.enter(work, report.warnings);
        sink.take(work, report.warnings);
        if (args.progress) args.progress(position.bytes());
      });
  if (writer.n_documents() == 0) fail(cat(name_all(args.inputs), ": no documents"));
  report.documents = writer.n_documents();
  report.tokens = writer.n_tokens();
  report.input_bytes = position.bytes();
  writer.finish();
  writer.commit();
  return report;
}

// Removes PREFIX.bin and PREFIX.idx at the end of the scope.
struct ScratchFiles {
  std::string prefix;
  ~ScratchFiles() {
    unlink((prefix + ".bin").c_str());
    unlink((prefix + ".idx").c_str());
  }
};

}  // namespace

PassesReport write_passes(const PassesArgs& args) {
  BinidxWriter writer({.prefix = args.prefix, .dtype = args.from.dtype(), .modes = args.from.has_modes()});
  std::vector<int64_t> documents(static_cast<size_t>(args.from.n_documents()));
  std::iota(documents.begin(), documents.end(), 0);
  for (int64_t pass = 0; pass < args.n_passes; ++pass) {
    args.arrange(documents);
    for (int64_t document : documents) copy_document(args.from, document, writer);
  }
  writer.finish();
  writer.commit();
  return {writer.n_documents(), writer.n_tokens()};
}

TokenizeReport tokenize(const TokenizeArgs& args) {
  if (args.n_epoch < 1) fail(cat("n_epoch = ", args.n_epoch, "; at least one pass is needed"));
  if (args.n_epoch == 1 && !args.shuffle_seed) return tokenize_once(args, args.prefix);
  const ScratchFiles scratch{args.prefix + ".once"};  // encoded once, copied for every pass
  TokenizeReport report = tokenize_once(args, scratch.prefix);
  const Binidx once(scratch.prefix);
  PythonRandom random(args.shuffle_seed.value_or(0));
  const PassesReport passes = write_passes({once, args.prefix, args.n_epoch, [&](std::span<int64_t> documents) {
                                              if (args.shuffle_seed) random.shuffle(documents);
                                            }});
  report.documents = passes.documents;
  report.tokens = passes.tokens;
  return report;
}

CharacterSet collect_characters(const std::vector<std::string>& inputs, int threads) {
  const std::vector<TextFile> files = text_files_of(inputs);
  for (const TextFile& file : files) {
    if (file.path == "-") fail("standard input can be read once only; save the text to a file, or give its vocabulary with char:FILE");
  }
  const std::unique_ptr<Tokenizer> cutter = make_char_tokenizer(std::vector<char32_t>(), "");
  CharacterSet all;
  Position position(files);
  std::vector<std::string> warnings;  // the second pass repeats them
  run_pass(
      {files, *cutter, threads, 1 << 20}, [&](Work& work) { collect_block(files[work.block.file].kind, work); },
      [&](Work& work) {
        position.enter(work, warnings);
        all.merge(*work.characters);
      });
  return all;
}

}  // namespace rk
