#include <algorithm>

#include "base/rng.h"
#include "data/batch_source.h"

namespace rk {
namespace {

class RandomTokens : public BatchSource {
 public:
  explicit RandomTokens(int64_t vocab) : vocab_(static_cast<double>(vocab)) {}
  int64_t sample(int64_t number, const SampleRow& row) const override {
    const Random random(3, static_cast<uint64_t>(number));
    const auto token = [&](size_t i) { return static_cast<int32_t>(random.uniform(i) * vocab_); };
    for (size_t i = 0; i < row.tokens.size(); ++i) {
      row.tokens[i] = token(i);
      row.targets[i] = token(i + 1);
      row.weights[i] = 1;
    }
    std::fill(row.resets.begin(), row.resets.end(), uint8_t{0});
    return 0;
  }
  int64_t n_samples_per_pass() const override { return int64_t{1} << 30; }

 private:
  double vocab_;
};

}  // namespace

std::unique_ptr<BatchSource> make_random_source(int64_t vocab) { return std::make_unique<RandomTokens>(vocab); }

}  // namespace rk
