#include "golden/handlers.h"

namespace rk::golden {

std::span<const Kind> kinds() {
  static const std::vector<Kind> table{
      // name, handler, has bf16 limits, has worlds of several ranks, computes on a GPU
      {"rwkv7/wkv7_op", run_wkv7_op, true, false, true},
      {"rwkv7/loss_variants", run_loss_variants, true, false, true},
      {"rwkv7/forward_trained", run_forward_trained, false, false, true},
      {"rwkv7/forward_trained_text", run_forward_trained_text, true, false, true},
      {"rwkv7/grads_one_step", run_grads_one_step, true, false, true},
      {"rwkv7/infctx", run_infctx, true, false, true},
      {"rwkv7/init", run_init, false, false},
      {"rwkv7/train_20_steps", run_train_20_steps, true, true, true},
      {"rwkv7/schedule_sampling", run_schedule_sampling, false, false},
      {"data/world_tokenizer", run_world_tokenizer, false, false},
      {"data/neox_tokenizer", run_neox_tokenizer, false, false},
      {"data/binidx/make_data", run_make_data, false, false},
      {"data/binidx/json2binidx", run_json2binidx, false, false},
      {"data/binidx/megatron", run_megatron, false, false},
      {"data/binidx/malformed", run_malformed, false, false},
      {"data/binidx/malformed_jsonl", run_malformed_jsonl, false, false},
      {"data/binidx/large_sparse", run_large_sparse, false, false},
      {"data/binidx/magic_prime", run_magic_prime, false, false},
      {"data/corpus_small", run_corpus_small, false, false},
      {"data/pth_files/valid", run_pth_valid, false, false},
      {"data/pth_files/hostile", run_pth_hostile, false, false},
      {"data/safetensors", run_safetensors, false, false},
  };
  return table;
}

}  // namespace rk::golden
