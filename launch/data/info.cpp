// rookery data info: what PREFIX.bin and PREFIX.idx hold.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/log.h"
#include "data/binidx.h"
#include "launch/data/commands.h"
#include "launch/data/report.h"
#include "launch/words.h"

namespace rk {
namespace {

void run_info(const std::string& path, int64_t ctx_len, bool scan) {
  const Binidx data(without_ending(path));
  for (const std::string& warning : data.warnings()) log_warning(warning);
  log_info(cat(data.prefix(), ": ", data.n_documents(), " documents, ", data.n_sequences(), " sequences, ", data.n_tokens(), " tokens, ",
               name_of(data.dtype()), ", ", bytes_text(static_cast<double>(data.n_tokens()) * static_cast<double>(size_of(data.dtype())))));
  int64_t shortest = data.n_tokens(), longest = 0, total = 0;
  for (int64_t d = 0; d < data.n_documents(); ++d) {
    int64_t size = 0;
    for (int64_t s = data.document_begin(d); s < data.document_begin(d + 1); ++s) size += data.size_of_sequence(s);
    shortest = std::min(shortest, size), longest = std::max(longest, size), total += size;
  }
  if (data.n_documents() > 0) {
    const double mean = static_cast<double>(total) / static_cast<double>(data.n_documents());
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", mean);
    log_info(cat("tokens in a document: at least ", shortest, ", on average ", text, ", at most ", longest));
  }
  if (scan) {
    const int64_t largest = data.largest_token();
    log_info(cat("largest token: ", largest, "; a model needs --vocab_size ", largest + 1, " or more"));
  }
  if (ctx_len != 0) return log_info(prime_text(data.n_tokens(), ctx_len));
  for (const int64_t common : {512, 1024, 2048, 4096, 8192}) log_info(prime_text(data.n_tokens(), common));
}

}  // namespace

int data_info_main(int argc, char** argv) {
  CLI::App app{"What PREFIX.bin and PREFIX.idx hold", "rookery data info"};
  std::string prefix;
  int64_t ctx_len = 0;
  bool scan = false;
  app.add_option("prefix", prefix, "PREFIX")->required();
  app.add_option("--ctx_len", ctx_len, "suggest training flags for this context length only")->check(CLI::PositiveNumber);
  app.add_flag("--scan", scan, "also look for the largest token");
  if (parse_words(app, argc, argv)) run_info(prefix, ctx_len, scan);
  return static_cast<int>(ExitCode::done);
}

}  // namespace rk
