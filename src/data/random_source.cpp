#include "base/rng.h"
#include "data/batch_source.h"

namespace rk {
namespace {

class RandomTokens : public BatchSource {
 public:
  explicit RandomTokens(int64_t vocab) : vocab_(static_cast<double>(vocab)) {}
  int64_t sample(int64_t number, std::span<int32_t> tokens, std::span<int32_t> targets, std::span<float> weights) const override {
    const Random random(3, static_cast<uint64_t>(number));
    const auto token = [&](size_t i) { return static_cast<int32_t>(random.uniform(i) * vocab_); };
    for (size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = token(i);
      targets[i] = token(i + 1);
      weights[i] = 1;
    }
    return 0;
  }
  int64_t n_samples_per_pass() const override { return int64_t{1} << 30; }

 private:
  double vocab_;
};

}  // namespace

std::unique_ptr<BatchSource> make_random_source(int64_t vocab) { return std::make_unique<RandomTokens>(vocab); }

}  // namespace rk
