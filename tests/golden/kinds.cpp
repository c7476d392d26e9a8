#include "golden/handlers.h"

namespace rk::golden {

std::span<const Kind> kinds() {
  static const std::vector<Kind> table{
      // name, handler, has bf16 limits, has worlds of several ranks, computes on a GPU
      {"rwkv7/wkv7_op", run_wkv7_op, true, false, true},
      {"rwkv7/loss_variants", run_loss_variants, true, false, true},
      {"rwkv456/wkv_op", run_wkv456_op, true, false, true},
      {"rwkv7/forward_trained", run_forward_trained, false, false, true},
      {"rwkv7/forward_trained_text", run_forward_trained_text, true, false, true},
      {"rwkv7/grads_one_step", run_grads_one_step, true, false, true},
      {"rwkv7/infctx", run_infctx, true, false, true},
      {"rwkv7/init", run_init, false, false},
      {"rwkv7/train_20_steps", run_train_20_steps, true, true, true},
      {"rwkv7/schedule_sampling", run_schedule_sampling, false, false},
      {"rwkv456/init", run_init_old, false, false},
      {"rwkv456/pth_names", run_pth_names, false, false},
      {"rwkv456/grads", run_old_grads, true, false, true},
      {"rwkv456/grads_variant", run_old_grads, true, false, true},
      {"rwkv456/options", run_old_grads, true, false, true},
      {"rwkv456/state_tuning", run_old_grads, true, false, true},
      {"rwkv456/infctx", run_old_infctx, false, false, true},
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
      {"data/templates/prompts", run_prompts, false, false},
      {"data/templates/rwkv_chat", run_rwkv_chat, false, false},
      {"data/templates/sft_labels", run_sft_labels, false, false},
      {"data/templates/preference", run_preference, false, false},
      {"data/templates/tools", run_tools, false, false},
      {"data/templates/convert_dataset", run_convert_dataset, false, false},
      {"data/templates/pretrain_packing", run_pretrain_packing, false, false},
      {"data/sampling/chatgal_jsonl", run_chatgal_jsonl, false, false},
      {"data/sampling/rwkv_pile_stage", run_pile_stage, false, false},
      {"data/sampling/rwkv_pile_version2", run_pile_version2, false, false},
      {"data/sampling/rwkv_qa_mask", run_rwkv_qa_mask, false, false},
      {"data/sampling/rwkv_text_types", run_text_types, false, false},
      {"data/sampling/rwkv_numpy_uint16", run_numpy_uint16, false, false},
      {"data/sampling/rwkv_dummy", run_dummy, false, false},
      {"data/sampling/peft_binidx", run_peft_binidx, false, false},
      {"data/sampling/peft_jsonl", run_peft_jsonl, false, false},
      {"data/sampling/peft_sft", run_peft_sft, false, false},
      {"data/sampling/chatgal_script_mask", run_script_mask, false, false},
      {"data/loss_mask/qa_pad", run_qa_pad, false, false},
      {"data/loss_mask/direct", run_mask_direct, false, false},
      {"data/loss_mask/masked_loss", run_masked_loss, false, false},
      {"data/pth_files/valid", run_pth_valid, false, false},
      {"data/pth_files/hostile", run_pth_hostile, false, false},
      {"data/safetensors", run_safetensors, false, false},
  };
  return table;
}

}  // namespace rk::golden
