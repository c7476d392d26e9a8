// Every option of a training run, typed. config.h describes each field once (name, aliases, default, meaning, check).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "data/data_options.h"

namespace rk {

// How often a periodic action happens.
struct Cadence {
  enum class Unit : uint8_t { steps, tokens, minutes };
  int64_t every = 0;  // 0 = never
  Unit unit = Unit::steps;
};

struct RunConfig : DataOptions {
  // model
  std::string load_model;     // "" = fresh weights, "0" = what proj_dir holds
  std::string arch = "x070";  // --my_testing
  int64_t n_layer = 0, n_embd = 0, head_size = 0,
          vocab_size = 0;  // 0 = from the file, else the reference's default (6, 512, 64; vocab: from the data)
  int64_t dim_att = 0, dim_ffn = 0;
  int64_t decay_lora = 0, aaa_lora = 0, mv_lora = 0, gate_lora = 0, mix_lora = 0;  // 0 = the reference's rule
  int64_t head_size_divisor = 0;                                                   // 0 = the family's
  // parts of old trainers' models
  int64_t head_qk = 0, tiny_att_dim = 0, tiny_att_layer = -999, my_pos_emb = 0;
  bool pre_ffn = false;
  double dropout = 0;  // of the residual stream
  bool load_partial = false;
  bool state_tune = false;         // the initial states of time mixes are trained, and nothing else
  std::string init = "reference";  // or "normal": quick weights for benches

  // length of the run
  std::string proj_dir = "out";
  int64_t val_every = 0;   // steps; 0 = only at the end of a run with validation data
  int64_t early_stop = 0;  // validations in a row without a smaller loss, after which the run ends; 0 = any number
  int64_t micro_bsz = 12, accumulate = 1, global_bsz = 0;
  bool micro_auto = false;  // micro_bsz and accumulate are chosen by memory and speed; their product is kept
  int64_t epoch_steps = 0;  // 0 = mini-epochs of floor(40320 / real_bsz) steps
  int64_t epoch_count = 0;  // 0 = not given
  int64_t epoch_begin = 0;
  int64_t my_exit_tokens = 0;
  int64_t max_steps = 0;
  int64_t my_exit = 99999999;  // number of the last mini-epoch
  bool forever = false;

  // optimizer and schedule
  double lr_init = 6e-4, lr_final = 1e-5;
  int64_t warmup_steps = -1;
  double warmup_floor = 0.01;
  double beta1 = 0.9, beta2 = 0.99, adam_eps = 1e-18, weight_decay = 0, weight_decay_final = -1, grad_clip = 1.0;
  bool layerwise_lr = true;
  int64_t my_pile_edecay = 0;            // mini-epochs
  std::string pass_schedule = "cosine";  // or "exponential"
  double l2wrap = 1e-4;
  int64_t head_chunk = 0;  // rows of logits formed at a time; 0 = chosen

  // run
  int train_stage = 0;
  std::string resume = "";  // "" = by train_stage; "auto", "none", or a path
  int64_t epoch_save = 5;   // mini-epochs
  Cadence save_every;
  int64_t keep_last = 3, keep_every = 0, keep_best = 1;
  Cadence snapshot_every;         // fast copies for restarts
  std::string snapshot_dir;       // "" = a folder of this run under /dev/shm
  bool snapshot_partner = false;  // another node holds each copy once more
  int64_t max_bad_steps = 20;     // non-finite ones in a row; 0 = any number
  int64_t hash_every = 0;         // steps between hashes of the weights in metrics.jsonl; 0 = none
  int64_t max_restarts = 0;       // by the process above mpirun
  std::string dialect = "rwkv7";

  // machine
  std::string accelerator = "auto", precision = "";  // "" = fp32 on the CPU, bf16 on CUDA
  int zero = -1;                                     // -1 = 1 where the world is larger than one, else 0
  std::string zero_group = "world";                  // or "node"
  bool offload_optimizer = false, offload_params = false;
  std::string reduce_dtype = "fp32";  // or "bf16"
  bool deterministic_reduce = false;  // sums over micro-batches have one order for any number of ranks
  int64_t bucket_mib = 512;
  double memory_limit_gib = 0;         // 0 = what the GPU has
  int64_t devices = 0, num_nodes = 0;  // 0 = not given
  int threads = 0;                     // 0 = cores / local ranks
  bool grad_cp = false;
  std::string keep = "auto";        // "all", "less"
  int64_t chunk_ctx = 0;            // tokens of a time segment; 0 = whole ctx_len
  std::string bptt = "full";        // or "truncated"
  std::string plan_order = "auto";  // "layer", "segment"
  double comm_timeout_s = 600;

  // terminal
  std::string wandb;
  int64_t log_every = 1;
  std::string progress = "auto";  // "bar", "plain"

  std::string text;                // the resolved set, one "key = value  # default|file|flag" a line: printed and stored in checkpoints
  std::vector<std::string> notes;  // lines to print at the start: accepted flags without effect, deviations
  std::string command_line;        // as typed
  std::map<std::string, std::string> origins;  // option -> "flag" or "file"; absent: a default
};

}  // namespace rk
