#include <chrono>
#include <memory>

#include "base/error.h"
#include "data/ordered_pipeline.h"
#include "data/sample_encoder.h"
#include "data/samples/prepared.h"
#include "data/samples/settings.h"
#include "data/samples/token_file_writer.h"
#include "data/text_blocks.h"
#include "data/text_error.h"

namespace rk {
namespace {

constexpr size_t block_bytes = 1 << 20;
constexpr size_t named_problems = 5;

// A block of lines and their samples. Lines count from the block's first, as only the consumer knows how many were before.
struct Work {
  struct Problem {
    int64_t line = 0;
    size_t column = 0;
    std::string reason;
  };
  TextBlock block;
  std::vector<int32_t> tokens;
  std::vector<uint8_t> counted;
  std::vector<int64_t> sizes;  // of the samples
  std::vector<Problem> problems;
  int64_t n_lines = 0, n_problems = 0, n_left_out = 0;
};

void encode_block(const SampleEncoder& encoder, bool skip, Work& work) {
  work.tokens.clear();
  work.counted.clear();
  work.sizes.clear();
  work.problems.clear();
  work.n_problems = work.n_left_out = 0;
  std::string_view bytes = work.block.bytes;
  if (work.block.first && bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  EncodedSample sample;
  work.n_lines = for_each_line(bytes, [&](std::string_view line, size_t, int64_t number) {
    if (!skip && work.n_problems > 0) return;
    const std::string_view object = strip_white_space(line);
    if (object.empty()) return;
    try {
      if (!encoder.encode(object, sample)) {
        ++work.n_left_out;
        return;
      }
    } catch (const TextError& e) {
      if (++work.n_problems <= static_cast<int64_t>(named_problems))
        work.problems.push_back({number, static_cast<size_t>(object.data() - line.data()) + e.offset(), e.what()});
      return;
    }
    require(sample.tokens.size() == sample.counted.size(), "every token of a sample counts or does not");
    work.tokens.insert(work.tokens.end(), sample.tokens.begin(), sample.tokens.end());
    work.counted.insert(work.counted.end(), sample.counted.begin(), sample.counted.end());
    work.sizes.push_back(std::ssize(sample.tokens));
  });
}

// What became of all lines.
struct Tally {
  int64_t lines = 0, problems = 0, left_out = 0, bytes = 0;
  std::vector<std::string> named;
};

void take(const std::string& path, bool skip, const Work& work, TokenFileWriter& writer, Tally& tally) {
  for (const Work::Problem& problem : work.problems) {
    const std::string sentence = cat(path, ":", tally.lines + problem.line + 1, ":", problem.column + 1, ": ", problem.reason);
    if (!skip) fail(sentence + "; correct the line, or leave such lines out with --on_error skip");
    if (tally.named.size() < named_problems) tally.named.push_back(sentence);
  }
  tally.lines += work.n_lines;
  tally.problems += work.n_problems;
  tally.left_out += work.n_left_out;
  tally.bytes += std::ssize(work.block.bytes);
  std::span<const int32_t> tokens = work.tokens;
  writer.append_marks(work.counted);
  for (int64_t size : work.sizes) {
    writer.append(tokens.first(static_cast<size_t>(size)));
    writer.end_document();
    tokens = tokens.subspan(static_cast<size_t>(size));
  }
}

std::vector<std::string> remarks_of(const std::string& path, const Tally& tally) {
  std::vector<std::string> remarks;
  if (tally.problems > 0) {
    std::string text = cat("warning: ", path, ": ", tally.problems, " of ", tally.lines, " lines cannot be used and are left out: ");
    for (size_t i = 0; i < tally.named.size(); ++i) text += cat(i == 0 ? "" : "; ", tally.named[i]);
    if (tally.problems > std::ssize(tally.named)) text += "; ...";
    remarks.push_back(text);
  }
  if (tally.left_out > 0)
    remarks.push_back(cat("warning: ", path, ": ", tally.left_out, " lines have nothing to learn from and are left out"));
  return remarks;
}

}  // namespace

void prepare_lines(const PrepareArgs& args, const std::string& path, const PreparedFile& to) {
  const std::shared_ptr<const Tokenizer> tokenizer = data_tokenizer(args.options);
  const std::unique_ptr<SampleEncoder> encoder = make_sample_encoder(args.options, tokenizer);
  const bool skip = args.options.on_error == "skip";
  TokenFileWriter writer(to.prefix, token_dtype(tokenizer->vocab_size()));
  TextBlockReader reader({{.path = path, .kind = TextKind::lines}}, *tokenizer, block_bytes);
  Tally tally;
  auto said = std::chrono::steady_clock::now();
  OrderedStages<Work> stages;
  stages.produce = [&](Work& item) { return reader.next(item.block); };
  stages.work = [&](Work& item) { encode_block(*encoder, skip, item); };
  stages.consume = [&](Work& item) {
    take(path, skip, item, writer, tally);
    const auto now = std::chrono::steady_clock::now();
    if (!args.say || now - said < std::chrono::seconds(10)) return;
    said = now;
    args.say(cat(path, ": ", tally.bytes >> 20, " MiB are tokens, ", writer.n_documents(), " documents"));
  };
  stages.n_bytes = [](const Work& item) { return item.block.bytes.size(); };
  OrderedPipeline<Work>(std::move(stages), args.threads, 4 * block_bytes * static_cast<size_t>(args.threads)).run();
  if (writer.n_documents() == 0) {
    fail(cat(path, ": no documents in ", tally.lines, " lines",
             tally.named.empty() ? "" : cat("; the first that cannot be used: ", tally.named[0])));
  }
  const PreparedRecord record{.identity = to.identity, .vocabulary = tokenizer->vocab_size(), .remarks = remarks_of(path, tally)};
  writer.commit(record);
  if (args.say) {
    args.say(cat(path, ": ", writer.n_documents(), " documents, ", writer.n_tokens(), " tokens by tokenizer ", tokenizer->name(), ", in ",
                 to.prefix, ".bin"));
  }
}

}  // namespace rk
