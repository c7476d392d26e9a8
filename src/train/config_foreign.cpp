// Options of other RWKV trainers: translated, without effect here, or of features that this build does not have.
#include <algorithm>

#include "base/error.h"
#include "train/config_option.h"
#include "train/config_values.h"

namespace rk {
namespace {

using Options = std::vector<ConfigOption>;
using Kind = ConfigOption::Kind;
using Names = std::vector<std::string>;

constexpr const char* translated_section = "Old spellings";
constexpr const char* no_effect_section = "Accepted without effect";
constexpr const char* kAdapters = "adapters (LoRA, PiSSA, Bone, DiSHA, MiSS)";
constexpr const char* absent_section = "Features that this build does not have";

ConfigOption translated(const char* name, const char* accepts, const char* meaning,
                        std::function<bool(const std::string&, ConfigOption::Meaning&)> translate) {
  ConfigOption o;
  o.kind = Kind::translated;
  o.name = name;
  o.section = translated_section;
  o.accepts = accepts;
  o.meaning = meaning;
  o.translate = std::move(translate);
  return o;
}

// Options with one reason. `bare`: they may stand without a value.
void no_effect(Options& all, const Names& names, const char* reason) {
  for (const std::string& name : names) {
    ConfigOption o;
    o.kind = Kind::no_effect;
    o.name = name;
    o.section = no_effect_section;
    o.accepts = "anything";
    o.meaning = reason;
    o.bare = true;
    all.push_back(std::move(o));
  }
}

struct Absent {
  const char* name;
  Names harmless;
  bool list = false;
};
void absent(Options& all, const char* feature, std::vector<Absent> options) {
  for (Absent& a : options) {
    ConfigOption o;
    o.kind = Kind::absent;
    o.name = a.name;
    o.section = absent_section;
    for (const std::string& value : a.harmless) o.accepts += cat(o.accepts.empty() ? "" : ", ", value.empty() ? "\"\"" : value);
    o.meaning = feature;
    o.harmless = std::move(a.harmless);
    o.bare = true;
    o.list = a.list;
    all.push_back(std::move(o));
  }
}

bool translate_strategy(const std::string& value, ConfigOption::Meaning& meaning) {
  const std::string v = lower_case(value);
  if (v == "auto" || v == "single_device" || v == "deepspeed" || v.starts_with("ddp")) {
    meaning = {{"zero", "0"}};
    return true;
  }
  if (v.starts_with("fsdp")) {
    meaning = {{"zero", "3"}};
    return true;
  }
  const std::string stage = "deepspeed_stage_";
  if (!v.starts_with(stage) || v.size() < stage.size() + 1) return false;
  const char digit = v[stage.size()];
  const std::string rest = v.substr(stage.size() + 1);
  if (digit < '1' || digit > '3' || (!rest.empty() && rest != "_offload")) return false;
  meaning = {{"zero", std::string(1, digit)}};
  if (!rest.empty()) meaning.push_back({"offload", digit == '3' ? "optimizer,params" : "optimizer"});
  return true;
}

// DeepSpeed's bucket size: millions of elements, 4 bytes each.
bool translate_ds_bucket(const std::string& value, ConfigOption::Meaning& meaning) {
  const auto millions = read_whole(value);
  if (!millions || *millions < 1 || *millions > 1000000) return false;
  meaning = {{"bucket_mib", std::to_string(std::max<int64_t>(1, *millions * 4000000 >> 20))}};
  return true;
}

// Options that switch time segments on; the size is RWKV-PEFT's own default.
bool translate_segments(const std::string& value, ConfigOption::Meaning& meaning) {
  const auto on = read_yes_no(value);
  if (on && *on) meaning = {{"chunk_ctx", "512"}};
  return on.has_value();
}

bool translate_train_type(const std::string& value, ConfigOption::Meaning& meaning) {
  const std::string v = lower_case(value);
  if (v == "infctx") meaning = {{"chunk_ctx", "512"}};
  if (v == "state" || v == "states") meaning = {{"state_tune", "1"}};
  return v.empty() || v == "none" || v == "normal" || !meaning.empty();
}

// TrainChatGalRWKV's share of the data that is trained on; all of it where nothing less is given.
bool translate_train_split(const std::string& value, ConfigOption::Meaning& meaning) {
  if (lower_case(value) == "none") return true;
  const auto share = read_real(value);
  if (!share || *share <= 0) return false;
  if (*share < 1) meaning = {{"val_split", show_real(1 - *share)}};
  return true;
}

void add_translated(Options& all) {
  ConfigOption strategy = translated("strategy", "auto, single_device, ddp, fsdp or deepspeed_stage_1, 2, 3, with or without _offload",
                                     "zero 0 to 3", translate_strategy);
  strategy.common = true;
  all.push_back(std::move(strategy));
  for (const char* name : {"state_cp", "infctx"}) {
    ConfigOption o = translated(name, "0 or 1", "chunk_ctx 512, unless chunk_ctx is given", translate_segments);
    o.bare = true;
    all.push_back(std::move(o));
  }
  all.push_back(translated("train_type", "normal, none, infctx, state or states",
                           "infctx: chunk_ctx 512, unless chunk_ctx is given; state: state_tune 1", translate_train_type));
  all.push_back(translated("ds_bucket_mb", "a whole number from 1 on", "bucket_mib: millions of elements of 4 bytes", translate_ds_bucket));
  all.push_back(translated("train_split_ratio", "none, or a number above 0", "1 - val_split", translate_train_split));
}

void add_without_effect(Options& all) {
  no_effect(all, {"fla", "op", "kernel", "fused_kernel"}, "there is one set of kernels, chosen by the device");
  no_effect(all, {"ctx_parts"}, "the WKV operator walks through time in pieces of its own");
  no_effect(all, {"num_workers", "persistent_workers", "prefetch_factor", "pin_memory"},
            "tokens are read straight from the mapped file, in a fixed order");
  no_effect(all, {"enable_progress_bar"}, "--progress bar or plain decides");
  no_effect(all, {"cuda_cleanup", "substep_cuda_cache_clear", "torch_set_float32_matmul_precision", "benchmark"},
            "there is no such cache or setting here");
  no_effect(all, {"cuda_graph"}, "steps are queued kernel by kernel");
  no_effect(all, {"deterministic"}, "every run is deterministic");
  no_effect(all, {"detect_anomaly"}, "every step is checked for numbers that are not finite");
  no_effect(all,
            {"enable_checkpointing", "enable_model_summary", "logger", "num_sanity_val_steps", "debug", "log_add_step",
             "replace_sampler_ddp", "use_distributed_sampler", "sync_batchnorm", "avg_loss"},
            "it steered the Lightning trainer only");
}

// RWKV-PEFT's kinds of adapters, of which training the initial states is one.
bool translate_peft(const std::string& value, ConfigOption::Meaning& meaning) {
  if (lower_case(value) == "state") meaning = {{"state_tune", "1"}};
  return true;
}

void add_adapters(Options& all) {
  const Names off = {"", "none", "0"};
  absent(all, kAdapters, {{"peft", off}});
  all.back().translate = translate_peft;
  absent(all, kAdapters,
         {{"lora", {"0", "false"}},
          {"lora_load", {""}},
          {"lora_r", {}},
          {"lora_alpha", {}},
          {"lora_dropout", {}},
          {"lora_parts", {}},
          {"lora_layers", {}},
          {"lora_config", {}, true},
          {"pissa_config", {}, true},
          {"bone_config", {}, true},
          {"disha_config", {}, true},
          {"miss_config", {}, true},
          {"peft_config", {}, true},
          {"train_parts", {}, true},
          {"emb", {"0"}},
          {"special_vocab_size", {"0"}},
          {"load_adapter", {""}},
          {"load_cold_adapter", {""}},
          {"limited_lora", {"0"}},
          {"merge", {"0"}},
          {"layer_profile", {}},
          {"prefix_tuning", {"0"}},
          {"prefix_token_len", {}},
          {"post_wkv_tuning", {"0"}}});
  absent(all, "quantised weights", {{"quant", off}, {"quant_mode", off}});
}

void add_objectives(Options& all) {
  absent(all, "objectives other than the next token",
         {{"sft", {"0"}},
          {"dpo", {"0"}},
          {"orpo", {"0"}},
          {"simpo", {"0"}},
          {"wpo", {"0"}},
          {"grpo", {"0"}},
          {"distillation", {"0"}},
          {"zerocot", {"0"}},
          {"objective", {"lm"}},
          {"rlhf_train_file", {""}},
          {"smoothing", {"0"}},
          {"position_loss_bias", {"1", "1.0"}},
          {"token_loss_threshold", {"0"}},
          {"token_dropout_rate", {"0"}}});
}

void add_data(Options& all) {
  absent(all, "other names in place of speakers", {{"names_data_file", {""}}, {"my_script_align", {"0"}}});
  absent(all, "training on images",
         {{"my_img_version", {}},
          {"my_img_size", {}},
          {"my_img_bit", {}},
          {"my_img_clip", {}},
          {"my_img_clip_scale", {}},
          {"my_img_l1_scale", {}},
          {"my_img_encoder", {}}});
}

void add_model(Options& all) {
  absent(all, "token shifts over other distances than one token, which no published model has",
         {{"my_ffn_shift", {"1"}}, {"my_att_shift", {"1"}}});
  absent(all, "parts of models other than RWKV",
         {{"gqa_kv_heads", {}},
          {"rk_norm", {"0"}},
          {"rkv_bias", {}},
          {"rms_norm_eps", {}},
          {"moe", {"0"}},
          {"moe_experts", {}},
          {"moe_active", {}},
          {"moe_shared", {}},
          {"moe_balance_alpha", {}}});
}

void add_schedule(Options& all) {
  absent(all, "optimizers other than AdamW", {{"optim", {"", "none", "adamw"}}, {"optimizer", {"", "none", "adamw"}}});
  absent(all, "schedules other than those that my_exit_tokens and epoch_count give",
         {{"lr_schedule", {}},
          {"lr_type", {}},
          {"lr_period", {"-1"}},
          {"lr_period_type", {}},
          {"lr_advanced", {"0"}},
          {"previous_step", {"0"}}});
  absent(all, "sizes that change during a run",
         {{"initial_ctx_len", {"0", "none"}},
          {"ctx_warmup_steps", {"0", "1"}},
          {"ctx_len_cutoffs", {}, true},
          {"ctx_len_warmup_steps", {}, true},
          {"accumulate_grad_batches_dict", {}, true}});
}

void add_machine(Options& all) {
  absent(all, "splitting one sample over ranks", {{"context_parallel", {"1", "0"}}});
  absent(all, "restarts after a failure", {{"auto_restart", {"0"}}});
  absent(all, "limits of the Lightning trainer",
         {{"max_epochs", {"-1", "none"}},
          {"min_epochs", {"none"}},
          {"min_steps", {"none"}},
          {"max_time", {"none"}},
          {"limit_train_batches", {"1.0", "none"}},
          {"limit_val_batches", {"1.0", "none"}},
          {"limit_test_batches", {"1.0", "none"}},
          {"limit_predict_batches", {"1.0", "none"}},
          {"overfit_batches", {"0", "0.0"}},
          {"fast_dev_run", {"0", "false"}},
          {"val_check_interval", {"none", "1.0"}},
          {"check_val_every_n_epoch", {}},
          {"profiler", {"none"}},
          {"gradient_clip_algorithm", {"norm", "none"}},
          {"auto_lr_find", {"0", "false"}},
          {"auto_scale_batch_size", {"0", "false"}},
          {"strict_old", {"0"}}});
}

}  // namespace

std::vector<ConfigOption> foreign_options() {
  Options all;
  add_translated(all);
  add_without_effect(all);
  add_adapters(all);
  add_objectives(all);
  add_data(all);
  add_model(all);
  add_schedule(all);
  add_machine(all);
  return all;
}

}  // namespace rk
