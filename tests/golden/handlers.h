// The handlers of all golden kinds; kinds.cpp lists those that are built.
#pragma once
#include "golden/golden.h"

namespace rk::golden {

// Operators and the loss.
void run_wkv7_op(const Case&, const Options&, Check&);
void run_loss_variants(const Case&, const Options&, Check&);

// The model.
void run_forward_trained(const Case&, const Options&, Check&);
void run_forward_trained_text(const Case&, const Options&, Check&);
void run_grads_one_step(const Case&, const Options&, Check&);
void run_infctx(const Case&, const Options&, Check&);
void run_init(const Case&, const Options&, Check&);

// Training runs.
void run_train_20_steps(const Case&, const Options&, Check&);
void run_schedule_sampling(const Case&, const Options&, Check&);

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

// Files of weights.
void run_pth_valid(const Case&, const Options&, Check&);
void run_pth_hostile(const Case&, const Options&, Check&);
void run_safetensors(const Case&, const Options&, Check&);

}  // namespace rk::golden
