// From a position in the run to tokens.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/binidx.h"

namespace rk {

// Where a sample goes: ctx_len places each.
struct SampleRow {
  std::span<int32_t> tokens, targets;  // targets: tokens shifted by one; -100 = not counted
  std::span<float> weights;            // of the loss
  std::span<uint8_t> resets;           // 1 = a document begins at this token, whatever came before; empty: not wanted
};

// Deterministic and without state: sample `number` is the same on every rank and after every resume.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  // Sets all of row. Returns the token offset of the sample in its data (for logs and audits). Allocates nothing; thread-safe.
  virtual int64_t sample(int64_t number, const SampleRow& row) const = 0;
  virtual int64_t n_samples_per_pass() const = 0;
};

// Pre-training over one binidx in magic-prime order; number counts from 1. Data too small for a magic prime of the reference's rule
// still trains: one slot per ctx_len tokens, in order, at least one (ctx_len + 1 tokens are needed, else refused naming both).
std::unique_ptr<BatchSource> make_pile_source(std::shared_ptr<const Binidx> data, int64_t ctx_len, int64_t magic_prime, int64_t vocab);

// Validation: consecutive windows of ctx_len + 1 tokens, each beginning with the last token of the one before, so that every token but
// the first is a target once; the last one is cut (its missing tokens are 0, its missing targets -100). Numbers 0 .. n-1.
std::unique_ptr<BatchSource> make_sequential_source(std::shared_ptr<const Binidx> data, int64_t ctx_len, int64_t vocab);

// Tokens without end that follow no rule, for measurements.
std::unique_ptr<BatchSource> make_random_source(int64_t vocab);

}  // namespace rk
