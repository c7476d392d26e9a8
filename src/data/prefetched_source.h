// Samples read by a thread of their own while a step computes with those before.
#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "data/batch_source.h"

namespace rk {

class PrefetchedSource final : public BatchSource {
 public:
  // At most `most` samples of T tokens are ahead. `from` lives longer.
  PrefetchedSource(const BatchSource& from, int64_t T, int64_t most);
  ~PrefetchedSource() override;

  // Begins to read these samples; what was asked for before is forgotten. Allocates nothing.
  void prefetch(std::span<const int64_t> numbers);

  // A sample that is ahead is waited for and copied; any other one is read at once. What went wrong in the thread is thrown here. For one
  // caller at a time.
  int64_t sample(int64_t number, const SampleRow& row) const override;
  int64_t n_samples_per_pass() const override { return from_.n_samples_per_pass(); }

  // Seconds that sample() has taken since the last call.
  double take_seconds();

 private:
  class Reader;
  const BatchSource& from_;
  const std::unique_ptr<Reader> reader_;
};

}  // namespace rk
