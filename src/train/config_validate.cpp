// What options must be together, checked before anything is taken or touched.
#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "comm/backends.h"
#include "data/samples/data_files.h"
#include "device/gpu.h"
#include "model/families.h"
#include "train/architecture.h"
#include "train/build.h"
#include "train/config.h"
#include "train/config_option.h"
#include "train/config_values.h"
#include "train/dialects.h"
#include "train/global_batch.h"

namespace rk {
namespace {

bool given(const RunConfig& c, const char* option) { return c.origins.contains(option); }

bool exists(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0;
}

void check_world(const RunConfig& c, int world) {
  if (c.devices == 0 && c.num_nodes == 0) return;
  if (c.devices == 0) {
    if (world % c.num_nodes == 0) return;
    fail(cat("--num_nodes ", c.num_nodes, " does not divide the ", world, " ranks that were started"));
  }
  const int64_t nodes = std::max<int64_t>(c.num_nodes, 1);
  if (c.devices * nodes == world) return;
  fail(cat("--devices ", c.devices, " x --num_nodes ", nodes, " = ", c.devices * nodes, " ranks, but ", world,
           world == 1 ? " was started" : " were started", "; give the number that mpirun or srun starts, or leave both out"));
}

// What a step has when micro_bsz is left out; one sample at a time until the choice is made.
void settle_automatic_batch(RunConfig& c, int64_t world) {
  if (c.accelerator != "cuda") fail("--micro_bsz auto chooses by a GPU's memory; on the CPU give a number");
  set_micro_bsz(c, 1, static_cast<int>(world));
}

// The largest micro-batch up to the default that leaves no row empty; where the ranks do not divide the batch, as few as may be.
int64_t usual_micro_bsz(const RunConfig& c, int64_t world) {
  const int64_t share = (c.global_bsz + world - 1) / world;
  int64_t B = std::min(c.micro_bsz, share);
  if (c.global_bsz % world != 0) {
    const int64_t n = (share + B - 1) / B;
    return (share + n - 1) / n;
  }
  while (share % B != 0) --B;
  return B;
}

// Samples of a step: global_bsz, or ranks x micro_bsz x accumulate, whichever of them are given. Any number of samples goes with any ranks:
// the last micro-batches may lack rows, and some ranks a micro-batch.
void settle_batch(RunConfig& c, int64_t world) {
  if (c.micro_auto) return settle_automatic_batch(c, world);
  if (c.global_bsz == 0) {
    c.global_bsz = world * c.micro_bsz * c.accumulate;
    return;
  }
  const bool micro = given(c, "micro_bsz"), accumulate = given(c, "accumulate_grad_batches");
  if (!micro) {
    const int64_t rows = world * c.accumulate;
    c.micro_bsz = accumulate ? (c.global_bsz + rows - 1) / rows : usual_micro_bsz(c, world);
  }
  const int64_t needed = step_batch(c, static_cast<int>(world)).per_rank();
  if (accumulate && c.accumulate != needed)
    fail(cat("--global_bsz ", c.global_bsz, " is not ", world, " ranks x --micro_bsz ", c.micro_bsz, " x --accumulate_grad_batches ",
             c.accumulate, " = ", world * c.micro_bsz * c.accumulate, ": every rank has ", needed,
             " micro-batches; change one of them, or leave one out"));
  c.accumulate = needed;
}

// auto: a GPU where there is one, but for fp64, which only the CPU computes in.
void settle_accelerator(RunConfig& c, bool plan) {
  if (c.accelerator == "auto" && plan) c.accelerator = c.precision == "fp64" ? "cpu" : "cuda";
  if (c.accelerator == "cuda") {
    if (const std::string why = why_no_gpu(); !plan && !why.empty())
      fail(cat("--accelerator gpu: there is no usable GPU (CUDA: ", why, "); use --accelerator cpu or auto"));
    if (c.precision == "fp64") fail("--precision fp64 exists on the CPU only; use --accelerator cpu, or fp32");
  }
  if (c.accelerator == "auto") c.accelerator = n_gpus() > 0 && c.precision != "fp64" ? "cuda" : "cpu";
}

// Offloading builds on divided gradients, and that of parameters on divided parameters; on the CPU everything is in host memory anyway.
void settle_sharding(RunConfig& c, int world) {
  if (c.offload_optimizer && c.accelerator == "cpu") {
    c.notes.push_back("--offload has no effect on the CPU: everything is in host memory already");
    c.offload_optimizer = c.offload_params = false;
  }
  const int least = c.offload_params ? 3 : c.offload_optimizer ? 2 : 0;
  const char* what = c.offload_params ? "optimizer,params" : "optimizer";
  if (c.zero >= 0 && c.zero < least)
    fail(cat("--offload ", what, " needs --zero ", least, least == 2 ? " or 3" : "", ", not ", c.zero, "; leave --zero out, or give ",
             least));
  if (c.zero < 0) c.zero = std::max(least, world > 1 ? 1 : 0);
}

// Sums over micro-batches in one order for any ranks: what would give them another one, or several, is refused.
void check_ordered_sums(const RunConfig& c) {
  if (!c.deterministic_reduce) return;
  if (c.offload_optimizer)
    fail("--deterministic_reduce 1 and --offload exclude each other: the host adds up sums of all ranks; leave one of them out");
  if (c.zero_group == "node")
    fail("--deterministic_reduce 1 and --zero_group node exclude each other: nodes add up sums of their own; leave one of them out");
  if (c.plan_order == "segment" && c.chunk_ctx > 0 && c.chunk_ctx < c.ctx_len)
    fail(
        "--deterministic_reduce 1 needs --plan_order layer with --chunk_ctx, because gradients of segments would leave one by one; leave "
        "--plan_order out");
}

void settle_machine(RunConfig& c, int world, bool plan) {
  settle_accelerator(c, plan);
  if (c.accelerator == "cuda") {
    if (c.precision.empty()) c.precision = "bf16";
    if (world > 1 && !plan && nccl_version().empty())
      fail(cat("training on ", world, " GPUs needs NCCL, which this build does not have; use one rank, or --accelerator cpu"));
  } else {
    if (c.precision.empty()) c.precision = "fp32";
    if (c.precision == "fp16" || c.precision == "tf32")
      fail(cat("--precision ", c.precision, " does not exist on the CPU; use fp32, bf16 or fp64"));
  }
  settle_sharding(c, world);
  check_ordered_sums(c);
}

void check_data(RunConfig& c, bool plan) {
  if (c.data_type == "wds_img") fail("--data_type wds_img is not supported: rookery trains on text only");
  for (std::string* path : {&c.data_file, &c.val_file}) {
    if (c.data_type != "binidx" || (!path->ends_with(".bin") && !path->ends_with(".idx"))) continue;
    path->resize(path->size() - 4);
    c.notes.push_back(cat("data files are named without .bin and .idx: using ", *path));
  }
  if (c.train_stage == 1 || plan) return;
  if (c.data_file.empty() && c.data_type != "dummy") fail("--data_file is missing; give the path of the training data");
  if (!c.val_file.empty() && c.val_split > 0) fail("--val_file and --val_split exclude each other: both say what validation reads");
  if (c.val_every > 0 && !wants_validation(c)) fail(cat("--val_every ", c.val_every, " needs --val_file or --val_split"));
  if (c.early_stop > 0 && c.val_every == 0) fail(cat("--early_stop ", c.early_stop, " needs --val_every, the steps between validations"));
}

void check_model(RunConfig& c, bool makes_model) {
  settle_architecture(c);
  const auto no_effect = [&](const char* name, const char* why) {
    if (given(c, name)) c.notes.push_back(cat("--", name, " has no effect: ", why));
  };
  if (c.arch == "x070") no_effect("head_size_divisor", "RWKV-7 has no such divisor");
  if (c.arch == "x040") no_effect("head_size_divisor", "RWKV-4 has no heads"), no_effect("head_size", "RWKV-4 has no heads");
  if ((c.tiny_att_dim > 0) != (c.tiny_att_layer >= 0))
    c.notes.push_back(cat(c.tiny_att_dim > 0 ? cat("--tiny_att_dim ", c.tiny_att_dim) : cat("--tiny_att_layer ", c.tiny_att_layer),
                          " has no effect: a small attention needs both --tiny_att_dim and --tiny_att_layer"));
  const bool fresh = makes_model && c.load_model.empty() && c.train_stage < 2;
  if (c.head_size % 8 != 0) fail(cat("--head_size ", c.head_size, " must be a multiple of 8"));
  if (fresh) {
    ModelSpec given = given_spec(c);
    if (given.vocab_size == 0) given.vocab_size = 1;  // the data will tell
    check_with_run(family_of(c.arch).spec_for_new(given), c);
  }
  if (c.train_stage == 1 && fresh && c.vocab_size == 0 && c.data_file.empty())
    fail("--train_stage 1 needs --vocab_size, because neither --load_model nor --data_file tells it");
}

// Start states are few and train at rates of their own (golden rwkv456 §4; RWKV-v5's trainer is run with 1 and 0.01).
void settle_state_tuning(RunConfig& c) {
  if (!c.state_tune) return;
  if (c.offload_optimizer)
    fail("--offload and --state_tune 1 exclude each other: the optimizer's state of start states is small, and the weights do not change");
  std::string set;
  for (const auto& [name, value] : {std::pair{"lr_init", &c.lr_init}, {"lr_final", &c.lr_final}}) {
    if (given(c, name)) continue;
    *value = name == std::string("lr_init") ? 1 : 0.01;
    set += cat(set.empty() ? "" : ", ", name, " ", show_real(*value));
  }
  if (!set.empty()) c.notes.push_back(cat("defaults of state tuning: ", set));
  if (c.lr_init < 1e-3) c.notes.push_back(cat("warning: --lr_init ", show_real(c.lr_init), " is small for start states; 1 is usual"));
}

void check_run(RunConfig& c) {
  settle_state_tuning(c);
  if (c.train_stage == 1 && !c.resume.empty() && c.resume != "none")
    fail(cat("--resume ", c.resume, " has no meaning with --train_stage 1, which only writes fresh weights"));
  c.chunk_ctx = std::min(c.chunk_ctx, c.ctx_len);
  if (c.bptt == "truncated" && c.chunk_ctx == 0) fail("--bptt truncated needs --chunk_ctx, the length of a segment");
  if (c.snapshot_every.every == 0 && (c.snapshot_partner || !c.snapshot_dir.empty()))
    fail(cat(c.snapshot_partner ? "--snapshot_partner 1" : "--snapshot_dir " + c.snapshot_dir,
             " has no meaning without --snapshot_every, which says how often"));
  if (c.my_exit_tokens != 0 && c.lr_init == 0) fail("--lr_init 0 has no cosine to follow; give a rate above 0");
}

// RWKV-v4neo's primes for the Pile, by ctx_len (golden rwkv456 §7); 0: it has none.
int64_t prime_of_the_pile(const RunConfig& c) {
  static const std::map<int64_t, int64_t> first = {{1024, 324331313}, {2048, 162165671}, {4096, 81082817}, {8192, 40541399}},
                                          others = {{1024, 1670239709},
                                                    {2048, 835119767},
                                                    {4096, 417559889},
                                                    {6144, 278373239},
                                                    {8192, 208779911}};
  const auto& table = c.my_pile_version == 1 ? first : others;
  const auto found = table.find(c.ctx_len);
  return found == table.end() ? 0 : found->second;
}

// RWKV-v5 and those before it: a stage has mini-epochs of 40320 samples and the length of a pass, whatever is given.
void settle_pile_stage(RunConfig& c) {
  if (c.train_stage < 2 || !dialect_named(c.dialect).pile_stages) return;
  for (const char* name : {"epoch_steps", "epoch_count"})
    if (given(c, name))
      c.notes.push_back(cat("--", name, " has no effect: my_pile_stage ", c.train_stage,
                            " makes mini-epochs of 40320 samples and the schedule of one pass, as its trainer does"));
  c.epoch_steps = c.epoch_count = 0;
  if (dialect_named(c.dialect).is_rwkv4) c.built_in_prime = prime_of_the_pile(c);
}

}  // namespace

void validate(RunConfig& config, int world, const Validated& for_what) {
  check_world(config, world);
  settle_machine(config, world, for_what.plan);
  check_data(config, for_what.plan);
  check_model(config, for_what.model);
  check_run(config);
  settle_pile_stage(config);
  settle_batch(config, world);
  config.text = config_text(config);
}

void check_files(const RunConfig& config) {
  if (!config.load_model.empty() && config.load_model != "0" && !exists(config.load_model))
    fail(cat("--load_model ", config.load_model, " does not exist"));
  if (!config.resume.empty() && config.resume != "auto" && config.resume != "none" && !exists(config.resume))
    fail(cat("--resume ", config.resume, " does not exist; give a checkpoint folder, auto or none"));
  if (config.train_stage != 1) named_files(config);
}

}  // namespace rk
