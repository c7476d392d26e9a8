// Which tokens a sample is: the order of RWKV-LM's trainer (golden rwkv7 §12, data §5.1). A pure function of the sample's
// number: neither ranks nor micro-batches appear.
#pragma once
#include <cstdint>
#include <optional>

namespace rk {

// Largest prime p <= slots - 1 with p mod 3 = 2, where slots = floor(n_tokens / ctx_len); none when there is none.
// Data under 3 * ctx_len tokens has none by the reference's rule.
std::optional<int64_t> find_magic_prime(int64_t n_tokens, int64_t ctx_len);
bool is_prime(int64_t n);
// What is taken where none is given: one that a trainer has built in (0: none) if it covers more than 0.99 of the data, else the one above;
// 0 = there is none.
int64_t automatic_prime(int64_t built_in, int64_t n_tokens, int64_t ctx_len);

// Whether 0.9 < magic_prime / slots <= 1, which the reference asks of a given prime.
bool prime_covers(int64_t magic_prime, int64_t n_tokens, int64_t ctx_len);

// floor(p * 0.618...) in double.
int64_t magic_factor(int64_t magic_prime);

// Token offset of sample number `ii` (1, 2, ...): ctx_len * (floor(p * 0.618...) * ii^3 mod p), exact in 128 bits.
int64_t sample_offset(int64_t ii, int64_t magic_prime, int64_t ctx_len);

// Refuses (bad_input, with the reason and the prime that would do) a given prime that is not prime, not 2 mod 3, or outside
// 0.9 < p / slots <= 1.
void check_magic_prime(int64_t magic_prime, int64_t n_tokens, int64_t ctx_len);

}  // namespace rk
