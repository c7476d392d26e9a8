#include "train/dialects.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"

namespace rk {

const std::vector<Dialect>& dialect_table() {
  static const std::vector<Dialect> table = {
      {.name = "rwkv7", .trainer = "RWKV-LM, RWKV-v7/train_temp", .defaults = {}, .untrained = {}},
      {.name = "rwkv5",
       .trainer = "RWKV-LM, RWKV-v5",
       .defaults = {{"adam_eps", "1e-8"}, {"pass_schedule", "exponential"}},
       .untrained = {{"epoch_steps", "1000"}},
       .pile_stages = true},
      {.name = "rwkv4",
       .trainer = "RWKV-LM, RWKV-v4neo",
       .defaults = {{"arch", "x040"}, {"adam_eps", "1e-8"}, {"warmup_floor", "0.2"}, {"pass_schedule", "exponential"}},
       .untrained = {{"epoch_steps", "1000"}},
       .pile_stages = true,
       .is_rwkv4 = true},
      {.name = "lora4",
       .trainer = "RWKV-LM-LoRA",
       .defaults = {{"arch", "x040"}, {"adam_eps", "1e-8"}, {"warmup_floor", "0.2"}, {"pass_schedule", "exponential"}},
       .untrained = {{"epoch_steps", "1000"}},
       .pile_stages = true,
       .is_rwkv4 = true},
      {.name = "chatgal",
       .trainer = "TrainChatGalRWKV",
       .defaults = {{"arch", "x040"},
                    {"adam_eps", "1e-8"},
                    {"append_eod", "0"},
                    {"warmup_floor", "0.2"},
                    {"warmup_steps", "0"},
                    {"pass_schedule", "exponential"}},
       .untrained = {{"epoch_steps", "1000"}},
       .pile_stages = true,
       .is_rwkv4 = true,
       .emb_by_lr = true},
      {.name = "peft24",
       .trainer = "RWKV-PEFT of 2024",
       .defaults = {{"adam_eps", "1e-8"}, {"append_eod", "0"}, {"warmup_floor", "0.2"}, {"pass_schedule", "exponential"}},
       .untrained = {{"epoch_steps", "1000"}},
       .pile_stages = true,
       .emb_by_lr = true},
      {.name = "peft25",
       .trainer = "RWKV-PEFT of 2025",
       .defaults = {{"adam_eps", "1e-8"}, {"append_eod", "0"}},
       .untrained = {{"epoch_steps", "1000"}},
       .pile_stages = true,
       .emb_by_lr = true},
      {.name = "peft26",
       .trainer = "RWKV-PEFT of 2026",
       .defaults = {{"adam_eps", "1e-8"}, {"append_eod", "0"}},
       .untrained = {{"epoch_steps", "1000"}},
       .emb_by_lr = true},
      {.name = "rlhf",
       .trainer = "RWKV-LM-RLHF",
       .defaults = {{"adam_eps", "1e-8"},
                    {"warmup_floor", "0.2"},
                    {"lr_init", "1e-4"},
                    {"micro_bsz", "1"},
                    {"grad_cp", "1"},
                    {"pass_schedule", "exponential"}},
       .untrained = {{"epoch_steps", "1000"}},
       .pile_stages = true},
      {.name = "infctx",
       .trainer = "RWKV-infctx-trainer",
       .defaults = {{"adam_eps", "1e-8"}, {"warmup_floor", "0.2"}, {"weight_decay", "0.001"}},
       .untrained = {}},
  };
  return table;
}

const Dialect& dialect_named(const std::string& name) {
  for (const Dialect& d : dialect_table())
    if (name == d.name) return d;
  fail(cat("--dialect ", name, " is not known"));
}

const std::vector<DialectEvidence>& dialect_evidence() {
  static const std::vector<DialectEvidence> rows = {
      {"peft26", {"peft_config", "miss_config", "merge"}},
      {"peft25", {"disha_config", "op", "lr_schedule"}},
      {"peft24", {"bone_config", "pissa_config", "lora_config", "peft"}},
      {"rlhf", {"layer_profile", "rlhf_train_file", "sft", "dpo"}},
      {"chatgal", {"ctx_parts", "state_cp", "initial_ctx_len"}},
      {"lora4", {"lora*"}},
      {"rwkv7", {"train_stage", "head_chunk", "head_size", "kernel"}},
      {"rwkv5", {"my_testing"}, "my_testing", {"x05", "x06"}},
      {"rwkv5", {"my_pile_stage", "pre_ffn", "head_qk", "tiny_att_dim", "my_pos_emb"}, "my_testing", {"x07"}},
      {"rwkv4", {"my_pile_stage", "pre_ffn", "head_qk", "tiny_att_dim", "my_pos_emb"}},
  };
  return rows;
}

namespace {

bool is_spelling(std::string_view pattern, std::string_view spelling) {
  if (!pattern.ends_with('*')) return pattern == spelling;
  pattern.remove_suffix(1);
  return spelling.starts_with(pattern);
}

bool holds(const DialectEvidence& row, const std::vector<GivenWord>& given) {
  if (!row.needs) return true;
  return std::any_of(given.begin(), given.end(), [&](const GivenWord& word) {
    return word.spelling == row.needs && std::any_of(row.beginning_with.begin(), row.beginning_with.end(),
                                                     [&](const char* prefix) { return std::string_view(word.value).starts_with(prefix); });
  });
}

}  // namespace

DialectChoice choose_dialect(const std::vector<GivenWord>& given) {
  for (const DialectEvidence& row : dialect_evidence()) {
    if (!holds(row, given)) continue;
    for (const char* pattern : row.any_of)
      for (const GivenWord& word : given)
        if (is_spelling(pattern, word.spelling)) return {row.dialect, word.spelling};
  }
  return {"rwkv7", ""};
}

}  // namespace rk
