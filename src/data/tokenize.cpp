#include "data/tokenize.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <numeric>

#include "base/error.h"
#include "data/binidx.h"
#include "data/binidx_writer.h"
#include "data/mt19937.h"
#include "data/ordered_pipeline.h"
#include "data/text_documents.h"
#include "data/tokenize_journal.h"

namespace rk {
namespace {

constexpr size_t n_named = 5;  // problems, warnings

// Follows the blocks in their order: counts lines and bytes, and refuses, or counts, what is wrong.
class Follower {
 public:
  Follower(const TokenizeArgs& args, const std::vector<TextFile>& files, JournalEntry& at) : args_(args), files_(files), at_(at) {}

  void enter(const EncodedBlock& block) {
    if (block.block.first) at_.lines = 0, at_.dropping = false;
    const TextFile& file = files_[block.block.file];
    TokenizeReport& report = at_.report;
    for (const EncodedBlock::Problem& problem : block.problems) {
      const std::string text = describe_problem(block, problem, file, at_.lines);
      if (!args_.skip_errors) fail(text);
      if (!at_.dropping && report.left_out_named.size() < n_named) report.left_out_named.push_back(text);
    }
    if (file.kind == TextKind::lines) report.left_out += block.n_problems;
    if (file.kind == TextKind::document && block.n_problems > 0 && !at_.dropping) at_.dropping = true, ++report.left_out;
    if (block.has_mark) warn(cat(name_of(file), ":1: a byte order mark in front of the first line was skipped"));
    report.empty += block.n_empty;
    at_.lines += block.n_lines;
    report.input_bytes += static_cast<int64_t>(block.block.bytes.size());
    at_.place = block.block.last ? TextPlace{block.block.file + 1, 0}
                                 : TextPlace{block.block.file, block.block.offset + static_cast<int64_t>(block.block.bytes.size())};
  }

  void warn(const std::string& text) {
    std::vector<std::string>& warnings = at_.report.warnings;
    if (warnings.size() < n_named) warnings.push_back(text);
  }

 private:
  const TokenizeArgs& args_;
  const std::vector<TextFile>& files_;
  JournalEntry& at_;
};

struct PassArgs {
  const TokenizeArgs& args;
  const std::vector<TextFile>& files;
  const Tokenizer& tokenizer;  // tells where documents may be cut
  TextPlace from;
};

void run_pass(const PassArgs& pass, std::function<void(EncodedBlock&)> work, std::function<void(EncodedBlock&)> consume) {
  TextBlockReader reader(pass.files, pass.tokenizer, pass.args.block_bytes, pass.from);
  OrderedStages<EncodedBlock> stages;
  stages.produce = [&reader](EncodedBlock& item) { return reader.next(item.block); };
  stages.work = std::move(work);
  stages.consume = std::move(consume);
  stages.n_bytes = [](const EncodedBlock& item) { return item.block.bytes.size(); };
  const size_t n_blocks = static_cast<size_t>(std::min(4 * pass.args.threads, pass.args.threads + 16));
  OrderedPipeline<EncodedBlock>(std::move(stages), pass.args.threads, n_blocks * pass.args.block_bytes).run();
}

void write_lines(const EncodedBlock& block, BinidxWriter& writer) {
  std::span<const int32_t> ids = block.ids;
  for (int64_t size : block.document_sizes) {
    writer.append(ids.first(static_cast<size_t>(size)));
    writer.end_sequence();
    writer.end_document();
    ids = ids.subspan(static_cast<size_t>(size));
  }
}

std::string name_all(const std::vector<std::string>& inputs) {
  return inputs.size() == 1 ? inputs[0] : cat(inputs[0], " and ", inputs.size() - 1, " more");
}

// One pass over the inputs in their order, from where `at` is.
class OncePass {
 public:
  OncePass(const TokenizeArgs& args, const std::vector<TextFile>& files, Journal& journal, const BinidxWriterArgs& out,
           std::optional<JournalEntry> from)
      : args_(args),
        files_(files),
        journal_(journal),
        at_(from.value_or(JournalEntry())),
        writer_(out, at_.written),
        follower_(args, files, at_) {
    journal_.take_over(!from);
  }

  TokenizeReport run() {
    run_pass(
        {args_, files_, *args_.tokenizer, at_.place},
        [&](EncodedBlock& block) { encode_block(args_, files_[block.block.file].kind, block); }, [&](EncodedBlock& block) { take(block); });
    if (writer_.n_documents() == 0) {
      fail(at_.report.left_out > 0 ? cat(name_all(args_.inputs), ": no documents; the first problem: ", at_.report.left_out_named.at(0))
                                   : cat(name_all(args_.inputs), ": no documents"));
    }
    at_.report.documents = writer_.n_documents();
    at_.report.tokens = writer_.n_tokens();
    at_.written = writer_.checkpoint();
    writer_.finish();
    at_.complete = true;
    journal_.save(at_);
    writer_.commit();
    return at_.report;
  }

 private:
  void take(const EncodedBlock& block) {
    follower_.enter(block);
    if (files_[block.block.file].kind == TextKind::lines) {
      write_lines(block, writer_);
    } else {
      take_part(block);
    }
    if (args_.progress) args_.progress(at_.report.input_bytes, journal_.input_bytes());
    if (journal_.keeps() && clock::now() - saved_at_ >= std::chrono::duration<double>(args_.journal_s)) {
      at_.written = writer_.checkpoint();
      journal_.save(at_);
      saved_at_ = clock::now();
    }
  }

  void take_part(const EncodedBlock& block) {
    if (block.block.first && block.block.last && block.block.bytes.empty()) {
      ++at_.report.empty;
      follower_.warn(cat(name_of(files_[block.block.file]), ": empty, no document is made of it"));
      return;
    }
    if (at_.dropping) return writer_.drop_open_document();
    writer_.append(block.ids);
    if (!block.block.last) return;
    const int32_t end = args_.tokenizer->end_of_document();
    if (args_.end_documents) writer_.append({&end, 1});
    writer_.end_sequence();
    writer_.end_document();
  }

  using clock = std::chrono::steady_clock;
  const TokenizeArgs& args_;
  const std::vector<TextFile>& files_;
  Journal& journal_;
  JournalEntry at_;
  BinidxWriter writer_;
  Follower follower_;
  clock::time_point saved_at_ = clock::now();
};

// A run that was killed when nothing was left to do but to rename its files.
std::optional<TokenizeReport> finished_before(const JournalEntry& entry, const std::string& prefix) {
  commit_left(prefix + ".bin");
  commit_left(prefix + ".idx");
  if (!std::filesystem::exists(prefix + ".bin") || !std::filesystem::exists(prefix + ".idx")) return std::nullopt;
  TokenizeReport report = entry.report;
  report.documents = entry.written.n_documents;
  report.tokens = entry.written.n_tokens;
  return report;
}

TokenizeReport tokenize_once(const TokenizeArgs& args, const std::vector<TextFile>& files, Journal& journal, const std::string& prefix) {
  const BinidxWriterArgs out{.prefix = prefix, .dtype = args.dtype.value_or(token_dtype(args.tokenizer->vocab_size()))};
  std::optional<JournalEntry> kept = journal.load(args.say);
  if (kept && kept->complete) {
    if (const auto report = finished_before(*kept, prefix)) {
      journal.take_over(false);
      return *report;
    }
    kept.reset();
  }
  if (kept && !BinidxWriter::can_go_on(out, kept->written)) kept.reset();
  if (kept && args.say)
    args.say(cat(prefix, ".journal: goes on behind ", kept->report.input_bytes, " of ", journal.input_bytes(), " bytes"));
  if (kept && args.progress) args.progress(kept->report.input_bytes, journal.input_bytes());
  return OncePass(args, files, journal, out, kept).run();
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
  require(args.tokenizer != nullptr && args.threads > 0, "a tokenizer and threads are given");
  if (args.n_epoch < 1) fail(cat("n_epoch = ", args.n_epoch, "; at least one pass is needed"));
  const std::vector<TextFile> files = text_files_of(args.inputs, args.standard_input);
  if (args.n_epoch == 1 && !args.shuffle_seed) {
    Journal journal(args, args.prefix, files);
    return tokenize_once(args, files, journal, args.prefix);
  }
  const ScratchFiles scratch{args.prefix + ".once"};  // encoded once, copied for every pass
  Journal journal(args, scratch.prefix, files);
  TokenizeReport report = tokenize_once(args, files, journal, scratch.prefix);
  const Binidx once(scratch.prefix);
  PythonRandom random(args.shuffle_seed.value_or(0));
  const PassesReport passes = write_passes({once, args.prefix, args.n_epoch, [&](std::span<int64_t> documents) {
                                              if (args.shuffle_seed) random.shuffle(documents);
                                            }});
  report.documents = passes.documents;
  report.tokens = passes.tokens;
  return report;
}

CharacterSet collect_characters(const TokenizeArgs& args) {
  const std::vector<TextFile> files = text_files_of(args.inputs, args.standard_input);
  for (const TextFile& file : files) {
    if (file.path == "-") fail("standard input can be read once only; save the text to a file, or give its vocabulary with char:FILE");
  }
  const std::unique_ptr<Tokenizer> cutter = make_char_tokenizer(std::vector<char32_t>(), "");
  CharacterSet all;
  JournalEntry at;
  Follower follower(args, files, at);
  run_pass(
      {args, files, *cutter, {}}, [&](EncodedBlock& block) { collect_block(args, files[block.block.file].kind, block); },
      [&](EncodedBlock& block) {
        follower.enter(block);
        all.merge(*block.characters);
      });
  return all;
}

}  // namespace rk
