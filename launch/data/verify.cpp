// rookery data verify: token files read wholly.
#include <CLI/CLI.hpp>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "data/binidx.h"
#include "launch/data/commands.h"
#include "launch/data/report.h"
#include "launch/words.h"

namespace rk {
namespace {

void run_verify(const std::string& path, int64_t vocab_size) {
  const Binidx data(without_ending(path));  // checks the index
  if (!data.warnings().empty()) fail(data.warnings().front());
  std::vector<int32_t> tokens;
  for (int64_t at = 0; at < data.n_tokens(); at += std::ssize(tokens)) {
    tokens.resize(static_cast<size_t>(std::min<int64_t>(data.n_tokens() - at, 1 << 16)));
    data.read_flat(at, tokens, vocab_size);
  }
  log_info(cat(data.prefix(), ": intact: ", data.n_documents(), " documents, ", data.n_tokens(), " tokens (", name_of(data.dtype()), ")"));
}

}  // namespace

int data_verify_main(int argc, char** argv) {
  CLI::App app{"Reads PREFIX.bin and PREFIX.idx wholly; exit code 2 where something is wrong", "rookery data verify"};
  std::vector<std::string> prefixes;
  int64_t vocab_size = 0;
  app.add_option("prefix", prefixes, "PREFIX, one or more")->required();
  app.add_option("--vocab_size", vocab_size, "tokens from here on are wrong, too; 0 = any token is right")->check(CLI::NonNegativeNumber);
  if (parse_words(app, argc, argv))
    for (const std::string& prefix : prefixes) run_verify(prefix, vocab_size);
  return static_cast<int>(ExitCode::done);
}

}  // namespace rk
