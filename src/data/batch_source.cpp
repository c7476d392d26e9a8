#include "data/batch_source.h"

#include "data/samples/sample_source.h"

namespace rk {

std::unique_ptr<BatchSource> make_pile_source(std::shared_ptr<const Binidx> data, int64_t ctx_len, int64_t magic_prime, int64_t vocab) {
  const SharedTokens tokens = binidx_tokens(std::move(data));
  const SampleOrder order = window_order(*tokens, {.ctx_len = ctx_len, .magic_prime = magic_prime});
  return make_ordered_source(make_window_layout(tokens, {.ctx_len = ctx_len, .vocab = vocab}), order, 1);
}

std::unique_ptr<BatchSource> make_sequential_source(std::shared_ptr<const Binidx> data, int64_t ctx_len, int64_t vocab) {
  return make_sequential_windows(binidx_tokens(std::move(data)), {.ctx_len = ctx_len, .vocab = vocab});
}

}  // namespace rk
