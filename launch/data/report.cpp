#include "launch/data/report.h"

#include <cstdio>

#include "base/error.h"
#include "data/sampling.h"

namespace rk {

std::string bytes_text(double n) {
  static constexpr const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  for (; n >= 1024 && unit < 4; ++unit) n /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", n, units[unit]);
  return text;
}

std::string prime_text(int64_t n_tokens, int64_t ctx_len) {
  const auto prime = find_magic_prime(n_tokens, ctx_len);
  // a prime that the check of given primes would refuse is computed again by --magic_prime 0
  return cat("--ctx_len ", ctx_len, " --magic_prime ", prime && prime_covers(*prime, n_tokens, ctx_len) ? *prime : 0, " --my_exit_tokens ",
             n_tokens);
}

void check_ctx_len(int64_t ctx_len) {
  if (ctx_len < 1) fail(cat("--ctx_len ", ctx_len, ": a context has at least one token"));
}

std::string without_ending(std::string path) {
  if (path.ends_with(".bin") || path.ends_with(".idx")) path.resize(path.size() - 4);
  return path;
}

}  // namespace rk
