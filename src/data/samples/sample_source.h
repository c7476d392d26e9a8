// Batch sources: rows of layouts in an order.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "data/batch_source.h"
#include "data/samples/layout.h"
#include "data/samples/order.h"

namespace rk {

using SharedLayout = std::shared_ptr<const Layout>;

// The order of windows of ctx_len tokens, and that of rows that are numbered. Both refuse data that has no sample.
struct OrderRequest {
  enum class Kind : uint8_t { prime, shuffle, random, sequential } kind = Kind::prime;
  int64_t ctx_len = 1;
  int64_t magic_prime = 0;     // 0 = computed; data without one is taken in its order
  int64_t built_in_prime = 0;  // of the trainer, for data that it covers
  int64_t shift = 0;           // tokens added to the start of each window
  int64_t random_steps = 0;
  uint64_t seed = 42;
};
SampleOrder window_order(const TokenData& data, const OrderRequest& request);
SampleOrder row_order(int64_t n_rows, const OrderRequest& request, const TokenData& data);

// Numbers count from first_number: 1 in training, 0 in validation.
std::unique_ptr<BatchSource> make_ordered_source(SharedLayout layout, const SampleOrder& order, int64_t first_number);

// Validation: the windows of a layout one behind the other, each token of the data but the first a target once. Numbers 0 .. n-1.
std::unique_ptr<BatchSource> make_sequential_windows(SharedTokens data, const RowRules& rules);

// token_bases: added to the offsets of each source's samples, so that they tell the sources apart.
std::unique_ptr<BatchSource> make_mixed_source(std::vector<std::unique_ptr<BatchSource>> sources, const SourceMix& mix,
                                               std::vector<int64_t> token_bases);

// my_qa_mask of RWKV-LM (golden data §5.1): even numbers are random windows of the pile, the others those of `main`, in the cubic order.
// masked (my_qa_mask 1): of these only answers count, and one without any is replaced by a random window of the pile.
struct QaPile {
  SharedLayout main, pile;
  SampleOrder order;        // of main
  int64_t n_random = 1;     // places in the pile
  int64_t main_tokens = 0;  // offsets in the pile come behind
  uint64_t seed = 42;
  bool masked = false;

  // random: of [0, n_random), what is taken from the pile
  int64_t fill(int64_t number, int64_t random, const SampleRow& row) const;
};
std::unique_ptr<BatchSource> make_qa_pile_source(const QaPile& pile);

}  // namespace rk
