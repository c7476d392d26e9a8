#include <algorithm>

#include "base/error.h"
#include "data/batch_source.h"
#include "data/sampling.h"

namespace rk {
namespace {

void check_has_sample(const Binidx& data, int64_t ctx_len, int64_t needed) {
  require(ctx_len > 0, "a context has tokens");
  if (data.n_tokens() == 0) fail(cat(data.prefix(), ".bin: no tokens"));
  if (data.n_tokens() < needed) {
    fail(cat(data.prefix(), ".bin: ", data.n_tokens(), " tokens are too few for --ctx_len ", ctx_len, ", which needs ", needed,
             "; use more text or a smaller --ctx_len"));
  }
}

// Slots of ctx_len tokens, each with the token behind it as its last target; visited in magic-prime order, or one after the other.
class PileSource final : public BatchSource {
 public:
  PileSource(std::shared_ptr<const Binidx> data, int64_t ctx_len, int64_t magic_prime, int64_t vocab)
      : data_(std::move(data)), ctx_len_(ctx_len), prime_(magic_prime), vocab_(vocab) {
    check_has_sample(*data_, ctx_len, ctx_len + 1);
    if (prime_ == 0) prime_ = find_magic_prime(data_->n_tokens(), ctx_len).value_or(0);
    n_slots_ = prime_ != 0 ? prime_ : std::max<int64_t>(1, (data_->n_tokens() - 1) / ctx_len);
    if (n_slots_ * ctx_len + 1 > data_->n_tokens()) {
      fail(cat("--magic_prime ", prime_, ": its last slot needs token ", n_slots_ * ctx_len + 1, ", but ", data_->prefix(), ".bin has ",
               data_->n_tokens(), "; use --magic_prime ", find_magic_prime(data_->n_tokens(), ctx_len).value_or(0)));
    }
  }

  int64_t sample(int64_t number, const SampleRow& row) const override {
    const int64_t offset = prime_ != 0 ? sample_offset(number, prime_, ctx_len_) : (number - 1) % n_slots_ * ctx_len_;
    data_->read_flat(offset, row.tokens.first(static_cast<size_t>(ctx_len_)), vocab_);
    data_->read_flat(offset + 1, row.targets.first(static_cast<size_t>(ctx_len_)), vocab_);
    std::fill_n(row.weights.begin(), ctx_len_, 1.0f);
    std::fill(row.resets.begin(), row.resets.end(), uint8_t{0});
    return offset;
  }

  int64_t n_samples_per_pass() const override { return n_slots_; }

 private:
  std::shared_ptr<const Binidx> data_;
  int64_t ctx_len_, prime_, vocab_, n_slots_ = 0;
};

class SequentialSource final : public BatchSource {
 public:
  SequentialSource(std::shared_ptr<const Binidx> data, int64_t ctx_len, int64_t vocab)
      : data_(std::move(data)), ctx_len_(ctx_len), vocab_(vocab) {
    check_has_sample(*data_, ctx_len, 2);
  }

  int64_t sample(int64_t number, const SampleRow& row) const override {
    const int64_t offset = number * ctx_len_;
    const int64_t counted = std::min(ctx_len_, data_->n_tokens() - 1 - offset);
    require(number >= 0 && counted > 0, "windows are numbered 0 .. n_samples_per_pass() - 1");
    const size_t n = static_cast<size_t>(counted);
    data_->read_flat(offset, row.tokens.first(n), vocab_);
    data_->read_flat(offset + 1, row.targets.first(n), vocab_);
    std::fill(row.tokens.begin() + counted, row.tokens.end(), 0);
    std::fill(row.targets.begin() + counted, row.targets.end(), -100);
    std::fill(row.weights.begin(), row.weights.begin() + counted, 1.0f);
    std::fill(row.weights.begin() + counted, row.weights.end(), 0.0f);
    std::fill(row.resets.begin(), row.resets.end(), uint8_t{0});
    return offset;
  }

  int64_t n_samples_per_pass() const override { return (data_->n_tokens() - 1 + ctx_len_ - 1) / ctx_len_; }

 private:
  std::shared_ptr<const Binidx> data_;
  int64_t ctx_len_, vocab_;
};

}  // namespace

std::unique_ptr<BatchSource> make_pile_source(std::shared_ptr<const Binidx> data, int64_t ctx_len, int64_t magic_prime, int64_t vocab) {
  return std::make_unique<PileSource>(std::move(data), ctx_len, magic_prime, vocab);
}

std::unique_ptr<BatchSource> make_sequential_source(std::shared_ptr<const Binidx> data, int64_t ctx_len, int64_t vocab) {
  return std::make_unique<SequentialSource>(std::move(data), ctx_len, vocab);
}

}  // namespace rk
