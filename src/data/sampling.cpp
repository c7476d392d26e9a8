#include "data/sampling.h"

#include "base/error.h"

namespace rk {
namespace {

// (sqrt(5) - 1) / 2, the double that the reference multiplies by.
constexpr double golden_ratio = 0.6180339887498949;

int64_t multiply_mod(int64_t a, int64_t b, int64_t p) {
  return static_cast<int64_t>(static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b) % static_cast<unsigned __int128>(p));
}

std::string advice(int64_t n_tokens, int64_t ctx_len) {
  const auto best = find_magic_prime(n_tokens, ctx_len);
  if (best && prime_covers(*best, n_tokens, ctx_len)) return cat("; use --magic_prime ", *best, ", or 0 to have it computed");
  return "; use --magic_prime 0 for data this small";
}

}  // namespace

bool is_prime(int64_t n) {
  if (n < 4) return n >= 2;
  if (n % 2 == 0 || n % 3 == 0) return false;
  for (int64_t d = 5; d <= n / d; d += 6) {
    if (n % d == 0 || n % (d + 2) == 0) return false;
  }
  return true;
}

std::optional<int64_t> find_magic_prime(int64_t n_tokens, int64_t ctx_len) {
  require(ctx_len > 0, "a context has tokens");
  for (int64_t p = n_tokens / ctx_len - 1; p >= 2; --p) {
    if (p % 3 == 2 && is_prime(p)) return p;
  }
  return std::nullopt;
}

int64_t automatic_prime(int64_t built_in, int64_t n_tokens, int64_t ctx_len) {
  const double slots = static_cast<double>(n_tokens / ctx_len);
  const bool covers = static_cast<double>(built_in) > 0.99 * slots && built_in > 0 && built_in * ctx_len < n_tokens;
  return covers ? built_in : find_magic_prime(n_tokens, ctx_len).value_or(0);
}

bool prime_covers(int64_t magic_prime, int64_t n_tokens, int64_t ctx_len) {
  const int64_t slots = n_tokens / ctx_len;
  if (slots == 0) return false;
  const double share = static_cast<double>(magic_prime) / static_cast<double>(slots);
  return share > 0.9 && share <= 1;
}

int64_t magic_factor(int64_t magic_prime) { return static_cast<int64_t>(static_cast<double>(magic_prime) * golden_ratio); }

int64_t sample_offset(int64_t ii, int64_t magic_prime, int64_t ctx_len) {
  const int64_t p = magic_prime;
  const int64_t i = ii % p;
  return multiply_mod(magic_factor(p), multiply_mod(multiply_mod(i, i, p), i, p), p) * ctx_len;
}

void check_magic_prime(int64_t magic_prime, int64_t n_tokens, int64_t ctx_len) {
  const auto refuse = [&](const std::string& reason) { fail(cat("--magic_prime ", magic_prime, reason, advice(n_tokens, ctx_len))); };
  if (!is_prime(magic_prime)) refuse(" is not a prime");
  if (magic_prime % 3 != 2) refuse(" leaves 1 or 0 when divided by 3 (2 is needed, so that every slot is visited once)");
  if (!prime_covers(magic_prime, n_tokens, ctx_len)) {
    refuse(cat(" does not suit ", n_tokens, " tokens at --ctx_len ", ctx_len, ": it must be above 0.9 and at most 1 times their ",
               n_tokens / ctx_len, " slots"));
  }
}

}  // namespace rk
