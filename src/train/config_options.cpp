// The options that set a field of RunConfig.
#include <optional>

#include "train/config_data_options.h"
#include "train/dialects.h"
#include "train/option_makers.h"

namespace rk {
namespace {

void add(Options& all, const char* section, Options options) {
  for (ConfigOption& o : options) {
    o.section = section;
    all.push_back(std::move(o));
  }
}

Options model_options() {
  using C = RunConfig;
  const WholeRange size{0};
  ConfigOption vocab = whole("vocab_size", &C::vocab_size, size, "rows of embedding and head; 0 = the file's, else decided by the data");
  vocab.set = [plain = vocab.set](RunConfig& c, const std::string& value) {
    const std::string lower = lower_case(value);
    if (lower == "world") return plain(c, "65536");
    if (lower == "neox") return plain(c, "50277");
    return plain(c, value);
  };
  ConfigOption arch = old({"my_testing", "rwkv_version"},
                          text("arch", &C::arch, "a model family such as x070", "architecture of fresh weights; a file knows its own"));
  arch.set = [plain = arch.set](RunConfig& c, const std::string& value) { return value.empty() || plain(c, value); };
  return {
      common(text("load_model", &C::load_model, "a path",
                  "weights to start from (.pth, .safetensors, .h5); empty = fresh weights, 0 = the newest file in proj_dir")),
      common(arch),
      common(whole("n_layer", &C::n_layer, size, "blocks; 0 = the file's, else 6")),
      common(whole("n_embd", &C::n_embd, size, "channels; 0 = the file's, else 512")),
      common(vocab),
      old({"head_size_a"}, whole("head_size", &C::head_size, {0, 256}, "channels of a head, a multiple of 8; 0 = the file's, else 64")),
      whole("dim_att", &C::dim_att, size, "channels of attention; 0 = n_embd; another number for x040 only"),
      whole(
          "dim_ffn", &C::dim_ffn, size,
          "width of the feed-forward part; 0 = the family's rule (x040: 4 n_embd; x052, x060: 3.5 n_embd, down to a multiple of 32; x070: "
          "4 n_embd, nothing else)"),
      whole("head_size_divisor", &C::head_size_divisor, size, "what a head's output is divided by before its norm (x052, x060); 0 = 8"),
      old({"d_decay_lora"}, whole("decay_lora", &C::decay_lora, size, "rank of the decay's factors; 0 = the family's rule")),
      old({"d_aaa_lora"}, whole("aaa_lora", &C::aaa_lora, size, "rank of the in-context rate's factors; 0 = the family's rule")),
      old({"d_mv_lora"}, whole("mv_lora", &C::mv_lora, size, "rank of the value residual's factors; 0 = the family's rule")),
      old({"d_gate_lora"}, whole("gate_lora", &C::gate_lora, size, "rank of the gate's factors; 0 = the family's rule")),
      whole("mix_lora", &C::mix_lora, size, "rank of the factors of token mixes (x060); 0 = the family's rule"),
      whole("head_qk", &C::head_qk, size, "width of queries and keys that copy tokens of the sample into the logits; 0 = none"),
      whole("tiny_att_dim", &C::tiny_att_dim, size, "width of one small attention in the block tiny_att_layer; 0 = none"),
      whole("tiny_att_layer", &C::tiny_att_layer, {std::numeric_limits<int64_t>::min()},
            "block that the small attention ends; below 0 = none"),
      yes_no("pre_ffn", &C::pre_ffn, "1 = block 0 has a feed-forward part in place of its time mix (x040)"),
      whole("my_pos_emb", &C::my_pos_emb, size, "P: learned rows for the P x P - 1 positions of a sample; 0 = none"),
      real("dropout", &C::dropout, {0, 1, false, true}, "share of the residual stream that training drops; x070: of the embedding alone"),
      yes_no("load_partial", &C::load_partial, "1 = tensors that load_model lacks keep fresh values instead of being an error"),
      choice("init", &C::init, {{"reference", "reference"}, {"normal", "normal"}},
             "fresh values: the reference trainer's, or quick normal ones for speed measurements"),
      old({"state"}, yes_no("state_tune", &C::state_tune, "1 = trains the states that time mixes begin with (x052, x060), nothing else")),
  };
}

Options length_options() {
  using C = RunConfig;
  ConfigOption micro =
      whole("micro_bsz", &C::micro_bsz, {1},
            "samples a rank computes at a time; auto = the fastest number that a GPU's memory holds, with the global batch that "
            "the other options give");
  micro.accepts += ", or auto";
  micro.set = [plain = micro.set](RunConfig& c, const std::string& value) {
    c.micro_auto = lower_case(value) == "auto";
    return c.micro_auto || plain(c, value);
  };
  micro.show = [plain = micro.show](const RunConfig& c) { return c.micro_auto ? std::string("auto") : plain(c); };
  return {
      common(text("proj_dir", &C::proj_dir, "a folder", "where checkpoints, weights and logs go")),
      common(micro),
      common(old({"accumulate"}, whole("accumulate_grad_batches", &C::accumulate, {1}, "micro-batches of a rank in one step"))),
      common(whole("global_bsz", &C::global_bsz, {0},
                   "samples of a step over all ranks, any number; 0 = ranks x micro_bsz x accumulate_grad_batches")),
      common(whole("epoch_steps", &C::epoch_steps, {0}, "steps of a mini-epoch; 0 = floor(40320 / global batch)")),
      common(whole("epoch_count", &C::epoch_count, {0}, "mini-epochs after which the run ends; 0 = does not end it")),
      whole("epoch_begin", &C::epoch_begin, {0}, "number of the first mini-epoch"),
      common(whole("my_exit_tokens", &C::my_exit_tokens, {std::numeric_limits<int64_t>::min()},
                   "tokens of the learning-rate schedule, after which the run ends; negative = mean of cosine and exponential; 0 = none")),
      common(whole("max_steps", &C::max_steps, {0}, "steps after which the run ends; 0 = does not end it")),
      whole("my_exit", &C::my_exit, {0},
            "number of the mini-epoch, counted from 0, after which the run ends; the schedule does not change"),
      whole("val_every", &C::val_every, {0}, "steps between validations; 0 = only at the end"),
      whole("early_stop", &C::early_stop, {0},
            "validations in a row without a smaller loss, after which the run ends; 0 = does not end it"),
      yes_no("forever", &C::forever, "1 = no end but my_exit_tokens, max_steps and signals, as the old trainers"),
  };
}

Options optimizer_options() {
  using C = RunConfig;
  return {
      common(real("lr_init", &C::lr_init, {}, "learning rate after warm-up")),
      common(real("lr_final", &C::lr_final, {}, "learning rate at the end")),
      common(
          whole("warmup_steps", &C::warmup_steps, {-1}, "first steps with a smaller learning rate; -1 = none, 10 or 30 after a restart")),
      real("warmup_floor", &C::warmup_floor, {0, 1}, "factor on the learning rate in the first warm-up step"),
      real("beta1", &C::beta1, {0, 1, false, true}, "Adam's decay of the first moment"),
      real("beta2", &C::beta2, {0, 1, false, true}, "Adam's decay of the second moment"),
      real("adam_eps", &C::adam_eps, {0, 1}, "added to the root of Adam's second moment"),
      common(real("weight_decay", &C::weight_decay, {}, "decoupled decay of matrices")),
      real("weight_decay_final", &C::weight_decay_final, {-1},
           "decay at the end, exponentially reached; 0 or -1 = weight_decay all the time"),
      yes_no("layerwise_lr", &C::layerwise_lr, "1 = decays and bonuses of time mixes have larger learning rates than the rest"),
      whole("my_pile_edecay", &C::my_pile_edecay, {0}, "mini-epochs before the exponential schedule begins to fall"),
      choice("pass_schedule", &C::pass_schedule, {{"cosine", "cosine"}, {"exponential", "exponential"}},
             "learning rate over one pass, where neither my_exit_tokens nor epoch_count tells the length of the run"),
      old({"gradient_clip_val"}, real("grad_clip", &C::grad_clip, {}, "largest norm of the gradient; 0 = no clipping")),
      real("l2wrap", &C::l2wrap, {}, "pull on the largest logit of a row; 0 = off"),
      whole("head_chunk", &C::head_chunk, {0}, "rows whose logits are in memory at a time; 0 = chosen"),
  };
}

Options run_options() {
  using C = RunConfig;
  ConfigOption save_every;
  save_every.name = "save_every";
  save_every.meaning = "how often a checkpoint folder is written besides epoch_save: 100, 100steps, 1e6tokens or 10min; 0 = not";
  save_every.accepts = "a number with steps, tokens or min behind it";
  save_every.quoted = true;
  save_every.set = [](RunConfig& c, const std::string& value) {
    const auto cadence = read_cadence(value);
    if (cadence) c.save_every = *cadence;
    return cadence.has_value();
  };
  save_every.show = [](const RunConfig& c) { return show_cadence(c.save_every); };
  ConfigOption snapshot_every = save_every;
  snapshot_every.name = "snapshot_every";
  snapshot_every.meaning =
      "how often every rank copies its state to snapshot_dir, from where a restarted run goes on if that is newer than the newest "
      "checkpoint; 0 = not";
  snapshot_every.set = [](RunConfig& c, const std::string& value) {
    const auto cadence = read_cadence(value);
    if (cadence) c.snapshot_every = *cadence;
    return cadence.has_value();
  };
  snapshot_every.show = [](const RunConfig& c) { return show_cadence(c.snapshot_every); };
  std::vector<Choice> dialects;
  for (const Dialect& d : dialect_table()) dialects.push_back({d.name, d.name});
  return {
      common(old({"my_pile_stage"}, whole("train_stage", &C::train_stage, {0, 3},
                                          "0 = train, 1 = write rwkv-init.pth and end, 2 and 3 = go on with what proj_dir holds"))),
      common(old({"resume_from_checkpoint"},
                 text("resume", &C::resume, "auto, none or a checkpoint folder",
                      "auto = the newest complete checkpoint of proj_dir; empty = auto for train_stage 2 and 3, else none"))),
      common(whole("epoch_save", &C::epoch_save, {0}, "mini-epochs between checkpoints; 0 = none but at the end")),
      common(save_every),
      whole("keep_last", &C::keep_last, {1}, "newest checkpoint folders that are kept"),
      whole("keep_every", &C::keep_every, {0}, "checkpoint folders whose step is a multiple of this are kept for good; 0 = none"),
      whole("keep_best", &C::keep_best, {0}, "checkpoint folders with the smallest validation losses that are kept besides; 0 = none"),
      snapshot_every,
      text("snapshot_dir", &C::snapshot_dir, "a folder of the rank's own host",
           "where snapshots go, in a folder named after the run; empty = /dev/shm, which is memory"),
      yes_no("snapshot_partner", &C::snapshot_partner,
             "1 = ranks of another node hold each snapshot once more, so that a lost node loses none"),
      whole("max_bad_steps", &C::max_bad_steps, {0},
            "steps in a row without a finite loss and gradient after which the run goes back to its newest checkpoint and ends; 0 = any "
            "number"),
      whole("hash_every", &C::hash_every, {0}, "steps between hashes of the weights in metrics.jsonl, for rookery replay; 0 = none"),
      whole("max_restarts", &C::max_restarts, {0, 1000000},
            "how often ranks that were started by devices are started again after one was lost, with --resume auto"),
      choice("dialect", &C::dialect, dialects, "trainer whose defaults hold; without this option the other options tell"),
  };
}

Options machine_options() {
  using C = RunConfig;
  ConfigOption devices = whole("devices", &C::devices, {0}, "ranks on this host, started here when not under mpirun; 0 = what was started");
  devices.set = [plain = devices.set](RunConfig& c, const std::string& value) {
    return plain(c, lower_case(value) == "auto" ? "0" : value);
  };
  ConfigOption offload;
  offload.name = "offload";
  offload.meaning = "what lives in host memory and visits the GPU: the optimizer's state and gradients, and the parameters too";
  offload.accepts = "none, optimizer or optimizer,params";
  offload.quoted = true;
  offload.set = [](RunConfig& c, const std::string& value) {
    const std::string v = lower_case(value);
    if (!v.empty() && v != "none" && v != "optimizer" && v != "optimizer,params" && v != "params,optimizer") return false;
    c.offload_optimizer = !v.empty() && v != "none";
    c.offload_params = v.find("params") != std::string::npos;
    return true;
  };
  offload.show = [](const RunConfig& c) {
    return std::string(c.offload_params ? "optimizer,params" : c.offload_optimizer ? "optimizer" : "none");
  };
  return {
      common(choice("accelerator", &C::accelerator, {{"auto", "auto"}, {"cpu", "cpu"}, {"gpu", "cuda"}, {"cuda", "cuda"}},
                    "where kernels run")),
      common(choice("precision", &C::precision,
                    {{"fp32", "fp32"},
                     {"bf16", "bf16"},
                     {"fp64", "fp64"},
                     {"tf32", "tf32"},
                     {"fp16", "fp16"},
                     {"32", "fp32"},
                     {"32-true", "fp32"},
                     {"64", "fp64"},
                     {"64-true", "fp64"},
                     {"16", "fp16"},
                     {"16-mixed", "fp16"},
                     {"16-true", "fp16"},
                     {"bf16-mixed", "bf16"},
                     {"bf16-true", "bf16"},
                     {"float32", "fp32"},
                     {"bfloat16", "bf16"},
                     {"float16", "fp16"},
                     {"float64", "fp64"}},
                    "what kernels compute in; not given = fp32 on the CPU, bf16 on CUDA")),
      common(whole("zero", &C::zero, {-1, 3},
                   "what ranks divide: 1 optimizer state, 2 and gradients, 3 and parameters; -1 = 1 where there are several ranks")),
      choice("zero_group", &C::zero_group, {{"world", "world"}, {"node", "node"}},
             "ranks that divide it among themselves: all, or those of a host, which other hosts repeat"),
      common(offload),
      choice("reduce_dtype", &C::reduce_dtype, {{"fp32", "fp32"}, {"bf16", "bf16"}, {"float32", "fp32"}, {"bfloat16", "bf16"}},
             "type in which gradients travel between ranks; they are added up in fp32 where they arrive"),
      yes_no("deterministic_reduce", &C::deterministic_reduce,
             "1 = losses and weights have the same bits on any number of ranks with one global_bsz and micro_bsz"),
      whole("bucket_mib", &C::bucket_mib, {1, int64_t{1} << 20},
            "MiB of fp32 gradients that are reduced, gathered or moved to the host at a time"),
      common(real("memory_limit", &C::memory_limit_gib, {0, std::numeric_limits<double>::max()},
                  "GiB of a GPU that the run may use, the driver's own included; 0 = what the GPU has")),
      common(devices),
      whole("num_nodes", &C::num_nodes, {0}, "hosts; 0 = what was started"),
      common(whole("threads", &C::threads, {0, 4096}, "threads of a rank; 0 = cores / ranks of the host")),
      common(yes_no("grad_cp", &C::grad_cp, "1 = keep only the input of each block and compute the rest again: less memory, same numbers")),
      choice("keep", &C::keep, {{"auto", "auto"}, {"all", "all"}, {"less", "less"}},
             "what backward needs: all is kept, or less and the cheap rest is computed again, with the same numbers; auto = less where "
             "a GPU would be filled by more than nine tenths"),
      whole("chunk_ctx", &C::chunk_ctx, {0}, "tokens of a time segment with carried state; 0 = the whole sample at once"),
      choice("bptt", &C::bptt, {{"full", "full"}, {"truncated", "truncated"}}, "whether gradients flow back through segment borders"),
      choice("plan_order", &C::plan_order, {{"auto", "auto"}, {"layer", "layer"}, {"segment", "segment"}},
             "segmented runs: all segments of a layer first, or all layers of a segment"),
      real("comm_timeout", &C::comm_timeout_s, {0, std::numeric_limits<double>::max(), true},
           "seconds without progress after which a rank gives up (exit code 70)"),
  };
}

Options terminal_options() {
  using C = RunConfig;
  return {
      text("wandb", &C::wandb, "a project name", "writes wandb-events.jsonl, to be uploaded later; empty = not"),
      old({"log_every_n_steps"}, whole("log_every", &C::log_every, {1}, "steps between printed lines; metrics.jsonl has every step")),
      choice("progress", &C::progress, {{"auto", "auto"}, {"bar", "bar"}, {"plain", "plain"}},
             "a bar that redraws itself or plain lines; auto = the bar on a terminal"),
  };
}

}  // namespace

std::vector<ConfigOption> own_options() {
  Options all;
  add(all, "Model", model_options());
  add(all, "Data", data_options());
  add(all, "Length of the run", length_options());
  add(all, "Optimizer", optimizer_options());
  add(all, "Checkpoints", run_options());
  add(all, "Machine", machine_options());
  add(all, "Terminal", terminal_options());
  return all;
}

}  // namespace rk
