#include "data/samples/sample_source.h"

#include <algorithm>

#include "base/error.h"
#include "data/sampling.h"

namespace rk {
namespace {

class OrderedSource final : public BatchSource {
 public:
  OrderedSource(SharedLayout layout, const SampleOrder& order, int64_t first_number)
      : layout_(std::move(layout)), order_(order), first_(first_number) {}
  int64_t sample(int64_t number, const SampleRow& row) const override {
    require(number >= first_, "samples are numbered from the first on");
    return layout_->fill(order_.index(number - first_ + 1), row);
  }
  int64_t n_samples_per_pass() const override { return order_.n; }

 private:
  SharedLayout layout_;
  SampleOrder order_;
  int64_t first_;
};

class MixedSource final : public BatchSource {
 public:
  MixedSource(std::vector<std::unique_ptr<BatchSource>> sources, const SourceMix& mix, std::vector<int64_t> token_bases)
      : sources_(std::move(sources)), mix_(mix), bases_(std::move(token_bases)) {
    for (const auto& source : sources_) n_ += source->n_samples_per_pass();
  }
  int64_t sample(int64_t number, const SampleRow& row) const override {
    const SourceMix::Place place = mix_.place(number);
    const size_t s = static_cast<size_t>(place.source);
    return bases_[s] + sources_[s]->sample(place.number, row);
  }
  int64_t n_samples_per_pass() const override { return n_; }

 private:
  std::vector<std::unique_ptr<BatchSource>> sources_;
  SourceMix mix_;
  std::vector<int64_t> bases_;
  int64_t n_ = 0;
};

class QaPileSource final : public BatchSource {
 public:
  explicit QaPileSource(const QaPile& pile) : pile_(pile) {}
  int64_t sample(int64_t number, const SampleRow& row) const override {
    return pile_.fill(number, drawn(pile_.n_random, pile_.seed, static_cast<uint64_t>(number)), row);
  }
  int64_t n_samples_per_pass() const override { return pile_.masked ? pile_.order.n : 2 * pile_.order.n; }

 private:
  QaPile pile_;
};

[[noreturn]] void refuse_too_few(const TokenData& data, int64_t ctx_len, int64_t needed) {
  if (data.n_tokens() == 0) fail(cat(data.name(), ": no tokens"));
  fail(cat(data.name(), ": ", data.n_tokens(), " tokens are too few for --ctx_len ", ctx_len, ", which needs ", needed,
           "; use more text or a smaller --ctx_len"));
}

}  // namespace

SampleOrder window_order(const TokenData& data, const OrderRequest& request) {
  const int64_t ctx_len = request.ctx_len, n_tokens = data.n_tokens();
  require(ctx_len > 0, "a context has tokens");
  if (n_tokens < ctx_len + 1 + request.shift) refuse_too_few(data, ctx_len, ctx_len + 1 + request.shift);
  SampleOrder order{.n = std::max<int64_t>(1, (n_tokens - 1 - request.shift) / ctx_len),
                    .stride = ctx_len,
                    .shift = request.shift,
                    .n_random = n_random_places(n_tokens, ctx_len),
                    .random_steps = request.random_steps,
                    .seed = request.seed};
  if (request.kind == OrderRequest::Kind::shuffle) order.kind = SampleOrder::Kind::shuffle;
  if (request.kind == OrderRequest::Kind::random) order.kind = SampleOrder::Kind::random;
  if (request.kind != OrderRequest::Kind::prime) return order;

  const int64_t prime =
      request.magic_prime != 0 ? request.magic_prime : automatic_prime(request.built_in_prime, n_tokens - request.shift, ctx_len);
  if (prime == 0) return order;
  if (prime * ctx_len + 1 + request.shift > n_tokens) {
    fail(cat("--magic_prime ", prime, request.shift > 0 ? cat(" with --my_pile_shift ", request.shift) : "", ": its last slot needs token ",
             prime * ctx_len + 1 + request.shift, ", but ", data.name(), " has ", n_tokens, "; use --magic_prime ",
             find_magic_prime(n_tokens - request.shift, ctx_len).value_or(0)));
  }
  order.kind = SampleOrder::Kind::prime;
  order.n = prime;
  return order;
}

SampleOrder row_order(int64_t n_rows, const OrderRequest& request, const TokenData& data) {
  if (n_rows == 0) fail(cat(data.name(), ": no documents of two tokens or more"));
  SampleOrder order{.n = n_rows, .n_random = n_rows, .seed = request.seed};
  if (request.kind == OrderRequest::Kind::shuffle) order.kind = SampleOrder::Kind::shuffle;
  if (request.kind == OrderRequest::Kind::random) order.kind = SampleOrder::Kind::random;
  return order;
}

std::unique_ptr<BatchSource> make_ordered_source(SharedLayout layout, const SampleOrder& order, int64_t first_number) {
  return std::make_unique<OrderedSource>(std::move(layout), order, first_number);
}

std::unique_ptr<BatchSource> make_sequential_windows(SharedTokens data, const RowRules& rules) {
  if (data->n_tokens() < 2) refuse_too_few(*data, rules.ctx_len, 2);
  const SharedLayout layout = make_window_layout(std::move(data), rules);
  return make_ordered_source(layout, {.n = layout->n_rows(), .stride = rules.ctx_len}, 0);
}

std::unique_ptr<BatchSource> make_mixed_source(std::vector<std::unique_ptr<BatchSource>> sources, const SourceMix& mix,
                                               std::vector<int64_t> token_bases) {
  return std::make_unique<MixedSource>(std::move(sources), mix, std::move(token_bases));
}

int64_t QaPile::fill(int64_t number, int64_t random, const SampleRow& row) const {
  if (number % 2 != 0) {
    const int64_t offset = main->fill(order.index(number / 2), row);
    if (!masked) return offset;
    if (mask_answers_20b(row.tokens, row.weights)) {
      for (size_t i = 0; i < row.targets.size(); ++i)
        if (row.weights[i] == 0) row.targets[i] = -100;
      return offset;
    }
  }
  return main_tokens + pile->fill(random, row);
}

std::unique_ptr<BatchSource> make_qa_pile_source(const QaPile& pile) { return std::make_unique<QaPileSource>(pile); }

}  // namespace rk
