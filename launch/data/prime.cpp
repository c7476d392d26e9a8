// rookery data prime: the magic prime of token data.
#include <CLI/CLI.hpp>
#include <charconv>

#include "base/error.h"
#include "base/log.h"
#include "data/binidx.h"
#include "data/sampling.h"
#include "launch/data/commands.h"
#include "launch/data/report.h"
#include "launch/words.h"

namespace rk {
namespace {

void run_prime(const std::string& data_or_tokens, int64_t ctx_len) {
  check_ctx_len(ctx_len);
  int64_t n_tokens = 0;
  const auto [end, error] = std::from_chars(data_or_tokens.data(), data_or_tokens.data() + data_or_tokens.size(), n_tokens);
  if (error != std::errc() || end != data_or_tokens.data() + data_or_tokens.size())
    n_tokens = Binidx(without_ending(data_or_tokens)).n_tokens();
  const auto prime = find_magic_prime(n_tokens, ctx_len);
  if (!prime)
    fail(cat(n_tokens, " tokens have no magic prime at --ctx_len ", ctx_len, ": at least ", 3 * ctx_len,
             " tokens are needed; training on less needs none"));
  if (!prime_covers(*prime, n_tokens, ctx_len)) {
    log_warning(cat("the magic prime of so little data, ", *prime, " of ", n_tokens / ctx_len,
                    " slots, is refused when given; leave --magic_prime out"));
  }
  log_info(prime_text(n_tokens, ctx_len));
}

}  // namespace

int data_prime_main(int argc, char** argv) {
  CLI::App app{"The magic prime of PREFIX, or of a number of tokens", "rookery data prime"};
  std::string data;
  int64_t ctx_len = 0;
  app.add_option("data", data, "PREFIX or number of tokens")->required();
  app.add_option("--ctx_len", ctx_len, "context length")->required();
  if (parse_words(app, argc, argv)) run_prime(data, ctx_len);
  return static_cast<int>(ExitCode::done);
}

}  // namespace rk
