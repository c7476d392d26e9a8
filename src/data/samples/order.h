// In which order the samples of a data set come: a pure function of the sample's number, without tables.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

namespace rk {

// A place of 0 .. n-1, each once, for i = 0 .. n-1: a Feistel network over Philox with cycle walking.
int64_t permuted(int64_t i, int64_t n, uint64_t seed, uint64_t pass);

// 0 .. n-1, drawn for a number.
int64_t drawn(int64_t n, uint64_t seed, uint64_t number);

// RWKV-LM draws windows from this many first tokens (golden data §5.1: the upper bound is excluded); at least one.
int64_t n_random_places(int64_t n_tokens, int64_t ctx_len);

// The place that a random number of [0, n_random_places) or the cubic rule gives, moved; what my_pile_stage and its relatives come to.
struct SampleOrder {
  enum class Kind : uint8_t { prime, shuffle, random, sequential, table } kind = Kind::sequential;
  int64_t n = 1;                                                // places of a pass
  int64_t stride = 1, shift = 0;                                // a place's index = place * stride + shift
  int64_t n_random = 1;                                         // indices that are drawn from at random
  int64_t random_steps = 0;                                     // numbers below this one are drawn at random, the others count from it
  uint64_t seed = 42;                                           // of shuffle and random
  std::shared_ptr<const std::vector<int64_t>> table = nullptr;  // of Kind::table: the places in their order

  int64_t index(int64_t number) const;  // number counts from 1
};

// Which of several sources a sample comes from, and its number there: shares are kept to within one sample a source at any moment.
class SourceMix {
 public:
  explicit SourceMix(std::vector<double> weights);  // > 0
  struct Place {
    int64_t source, number;  // number counts from 1
  };
  Place place(int64_t number) const;
  // How many of the first `number` samples come from a source.
  int64_t count(int64_t source, int64_t number) const;
  double share(int64_t source) const { return shares_[static_cast<size_t>(source)]; }

 private:
  std::vector<double> shares_;
  std::vector<uint64_t> parts_;  // of source s among those from s on, times 2^48
};

// How RWKV-PEFT and TrainChatGalRWKV deal items out: item `idx` of a rank is item idx * world + rank of all (golden data §5.2, §5.3).
int64_t item_of_rank(int64_t idx, int64_t world, int64_t rank);

// The length of sample k of a loader that warms the context up (golden data §5.3).
struct ContextWarmup {
  int64_t initial = 0, final = 0;
  int64_t steps = 0, samples_per_step = 1;
  int64_t length(int64_t k) const;
};

}  // namespace rk
