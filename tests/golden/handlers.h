// The handlers of all golden kinds; kinds.cpp lists those that are built.
#pragma once
#include "golden/golden.h"

namespace rk::golden {

// Operators and the loss.
void run_wkv7_op(const Case&, const Options&, Check&);
void run_loss_variants(const Case&, const Options&, Check&);
void run_wkv4_op(const Case&, const Options&, Check&);  // the cases of rwkv456/wkv_op that are about RWKV-4
void run_wkv456_op(const Case&, const Options&, Check&);

// The model.
void run_forward_trained(const Case&, const Options&, Check&);
void run_forward_trained_text(const Case&, const Options&, Check&);
void run_grads_one_step(const Case&, const Options&, Check&);
void run_infctx(const Case&, const Options&, Check&);
void run_init(const Case&, const Options&, Check&);
void run_old_grads(const Case&, const Options&, Check&);
void run_old_infctx(const Case&, const Options&, Check&);

// Training runs.
void run_train_20_steps(const Case&, const Options&, Check&);
void run_schedule_sampling(const Case&, const Options&, Check&);

// RWKV-4, 5.2 and 6.
void run_init_old(const Case&, const Options&, Check&);
void run_pth_names(const Case&, const Options&, Check&);

// Data.
void run_world_tokenizer(const Case&, const Options&, Check&);
void run_neox_tokenizer(const Case&, const Options&, Check&);
void run_make_data(const Case&, const Options&, Check&);
void run_json2binidx(const Case&, const Options&, Check&);
void run_megatron(const Case&, const Options&, Check&);
void run_malformed(const Case&, const Options&, Check&);
void run_malformed_jsonl(const Case&, const Options&, Check&);
void run_large_sparse(const Case&, const Options&, Check&);
void run_magic_prime(const Case&, const Options&, Check&);
void run_corpus_small(const Case&, const Options&, Check&);

// Conversations.
void run_prompts(const Case&, const Options&, Check&);
void run_rwkv_chat(const Case&, const Options&, Check&);
void run_sft_labels(const Case&, const Options&, Check&);
void run_preference(const Case&, const Options&, Check&);
void run_tools(const Case&, const Options&, Check&);
void run_convert_dataset(const Case&, const Options&, Check&);
void run_pretrain_packing(const Case&, const Options&, Check&);
void run_chatgal_jsonl(const Case&, const Options&, Check&);

// Samples and masks.
void run_pile_stage(const Case&, const Options&, Check&);
void run_pile_version2(const Case&, const Options&, Check&);
void run_rwkv_qa_mask(const Case&, const Options&, Check&);
void run_text_types(const Case&, const Options&, Check&);
void run_numpy_uint16(const Case&, const Options&, Check&);
void run_dummy(const Case&, const Options&, Check&);
void run_peft_binidx(const Case&, const Options&, Check&);
void run_peft_jsonl(const Case&, const Options&, Check&);
void run_peft_sft(const Case&, const Options&, Check&);
void run_script_mask(const Case&, const Options&, Check&);
void run_qa_pad(const Case&, const Options&, Check&);
void run_mask_direct(const Case&, const Options&, Check&);
void run_masked_loss(const Case&, const Options&, Check&);
// Which line a rank takes, and lengths of samples while the context warms up; of chatgal_jsonl.
void compare_dealing(const nlohmann::json& rules, const nlohmann::json& warmups, Check& check);

// Files of weights.
void run_pth_valid(const Case&, const Options&, Check&);
void run_pth_hostile(const Case&, const Options&, Check&);
void run_safetensors(const Case&, const Options&, Check&);

}  // namespace rk::golden
