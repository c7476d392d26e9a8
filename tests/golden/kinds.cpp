#include "golden/handlers.h"

namespace rk::golden {

std::span<const Kind> kinds() {
  static const std::vector<Kind> table{
      // name, handler, has bf16 limits, has worlds of several ranks
      {"rwkv7/schedule_sampling", run_schedule_sampling, false, false},
      {"data/world_tokenizer", run_world_tokenizer, false, false},
      {"data/binidx/make_data", run_make_data, false, false},
      {"data/binidx/megatron", run_megatron, false, false},
      {"data/binidx/malformed", run_malformed, false, false},
      {"data/binidx/malformed_jsonl", run_malformed_jsonl, false, false},
      {"data/binidx/large_sparse", run_large_sparse, false, false},
      {"data/binidx/magic_prime", run_magic_prime, false, false},
      {"data/corpus_small", run_corpus_small, false, false},
  };
  return table;
}

}  // namespace rk::golden
