// Command lines of the trainers of RWKV-4, 5 and 6, pasted as they are.
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "base/error.h"
#include "data/sampling.h"
#include "train/build.h"
#include "train/config.h"
#include "train/horizon.h"

namespace rk {
namespace {

RunConfig planned(const std::string& line, int world = 1) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word == "\"\"" ? "" : word);
  RunConfig c = parse_config(words);
  validate(c, world, {.plan = true});
  return c;
}

std::string refusal(const std::string& line) {
  try {
    planned(line);
    return "accepted";
  } catch (const Error& e) {
    return e.what();
  }
}

bool has_note(const RunConfig& c, const std::string& part) {
  for (const std::string& note : c.notes)
    if (note.find(part) != std::string::npos) return true;
  return false;
}

void expect_contains(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in: " << text;
}

const char* const v4neo_line =
    "python train.py --load_model \"\" --wandb \"\" --proj_dir out --data_file ../data/enwik8 --data_type utf-8 --vocab_size 0 "
    "--ctx_len 512 --epoch_steps 5000 --epoch_count 500 --epoch_begin 0 --epoch_save 5 --micro_bsz 12 --n_layer 6 --n_embd 512 "
    "--pre_ffn 0 --head_qk 0 --lr_init 8e-4 --lr_final 1e-5 --warmup_steps 0 --beta1 0.9 --beta2 0.99 --adam_eps 1e-8 "
    "--accelerator gpu --devices 1 --precision bf16 --strategy ddp_find_unused_parameters_false --grad_cp 0";

std::string v5_line(const std::string& model_type) {
  return "python train.py --load_model 0 --wandb \"\" --proj_dir out/L12-D768-" + model_type + " --my_testing " + model_type +
         " --ctx_len 512 --my_pile_stage 3 --epoch_count 999999 --epoch_begin 0 --data_file data/minipile "
         "--my_exit_tokens 1498226207 --magic_prime 2926181 --num_nodes 1 --micro_bsz 16 --n_layer 12 --n_embd 768 --pre_ffn 0 "
         "--head_qk 0 --lr_init 6e-4 --lr_final 6e-5 --warmup_steps 10 --beta1 0.9 --beta2 0.99 --adam_eps 1e-8 --my_pile_edecay 0 "
         "--data_type binidx --vocab_size 65536 --weight_decay 0.001 --epoch_save 10 --head_size_a 64 --accelerator gpu --devices 1 "
         "--precision bf16 --strategy deepspeed_stage_2 --grad_cp 1 --enable_progress_bar True --ds_bucket_mb 200";
}

TEST(OldTrainers, V4neo) {
  const RunConfig c = planned(v4neo_line);
  EXPECT_EQ(c.dialect, "rwkv4");
  EXPECT_EQ(c.arch, "x040");
  EXPECT_EQ(c.warmup_floor, 0.2);
  EXPECT_EQ(c.epoch_steps, 5000);
  const ModelSpec spec = given_spec(c);
  EXPECT_EQ(spec.emb_init, 8e-4) << "fresh embeddings reach to +-lr_init";
  const Horizon h = make_horizon(c, 1, 1000000, 0, c.warmup_steps);
  EXPECT_EQ(h.last_step, 5000 * 500);
  EXPECT_NEAR(h.schedule.lr(1250000 - 1), std::sqrt(8e-4 * 1e-5), 1e-9) << "half way down an exponential";
}

TEST(OldTrainers, V5DemoRuns) {
  for (const char* type : {"x052", "x060"}) {
    const RunConfig c = planned(v5_line(type));
    EXPECT_EQ(c.dialect, "rwkv5");
    EXPECT_EQ(c.arch, type);
    EXPECT_EQ(c.adam_eps, 1e-8);
    EXPECT_EQ(c.warmup_floor, 0.01);
    EXPECT_EQ(c.zero, 2);
    EXPECT_EQ(c.epoch_count, 0);
    EXPECT_TRUE(has_note(c, "--epoch_count has no effect: my_pile_stage 3"));
    EXPECT_EQ(given_spec(c).emb_init, 0) << "the trainer's own 1e-4";
    const Horizon h = make_horizon(c, 1, 2926181, 0, c.warmup_steps);
    EXPECT_EQ(h.epoch_steps, 2520);
    EXPECT_TRUE(h.ends_at_exit_tokens);
    EXPECT_EQ(h.schedule.lr(10), h.schedule.lr_init);
  }
}

TEST(OldTrainers, TrainChatGal) {
  const RunConfig c = planned(
      "python3 train.py --load_model base.pth --proj_dir out --data_file train.jsonl --data_type jsonl --vocab_size 50277 --ctx_len 4096 "
      "--ctx_parts 4 --epoch_steps 100 --epoch_count 20 --epoch_begin 0 --epoch_save 5 --micro_bsz 1 --accumulate_grad_batches 8 "
      "--n_layer 24 --n_embd 2048 --pre_ffn 0 --head_qk 0 --lr_init 1e-5 --lr_final 1e-6 --warmup_steps 20 --beta1 0.9 --beta2 0.999 "
      "--adam_eps 1e-8 --accelerator gpu --devices 1 --precision bf16 --strategy deepspeed_stage_2_offload --grad_cp 1 --dropout 0.05");
  EXPECT_EQ(c.dialect, "chatgal");
  EXPECT_EQ(c.arch, "x040");
  EXPECT_EQ(c.dropout, 0.05);
  EXPECT_TRUE(c.offload_optimizer);
  EXPECT_EQ(make_horizon(c, 1, 1000, 0, c.warmup_steps).last_step, 2000);
}

TEST(OldTrainers, SchedulesWithoutALength) {
  // Whole mini-epochs of a pass, as magic_prime // 40320 says; a short pass ends it.
  RunConfig c = planned("--my_testing x060 --my_pile_stage 3 --micro_bsz 16 --n_layer 1 --n_embd 64 --data_file d");
  EXPECT_EQ(make_horizon(c, 1, 2926181, 0, -1).schedule.total_steps, 2926181 / 40320 * 2520);
  EXPECT_EQ(make_horizon(c, 1, 1600, 0, -1).schedule.total_steps, 100);
  EXPECT_EQ(make_horizon(c, 1, 1600, 0, -1).last_step, 100);
  EXPECT_EQ(make_horizon(planned("--n_layer 1 --data_file d"), 1, 1600, 0, -1).schedule.my_exit_tokens, 1600 * 1024) << "RWKV-7: a cosine";
  c.my_exit = 2;
  EXPECT_EQ(make_horizon(c, 1, 2926181, 0, -1).last_step, 3 * 2520);
}

TEST(OldTrainers, WeightDecayThatChanges) {
  Schedule s;
  s.lr_init = s.lr_final = 1e-3;
  s.epoch_steps = 10;
  s.epoch_count = 2;
  s.weight_decay = 0.1;
  EXPECT_EQ(s.decay(7), 0.1);
  s.weight_decay_final = 0.001;
  EXPECT_LT(std::abs(s.decay(19) - 0.001), 1e-15) << "also where the learning rate is constant";
  s.warmup_steps = 0;
  EXPECT_NEAR(s.decay(9), 0.01, 1e-15);
}

TEST(OldTrainers, NamesOfArchitectures) {
  EXPECT_EQ(planned("--my_testing x060b --n_layer 1").arch, "x060b");
  EXPECT_EQ(planned("--my_testing \"\" --my_pile_stage 3 --n_layer 1").arch, "x040");
  EXPECT_EQ(planned("--my_testing \"\" --n_layer 1").arch, "x070");
  const RunConfig c = planned("--my_testing x060c --n_layer 1");
  EXPECT_EQ(c.arch, "x060");
  EXPECT_TRUE(has_note(c, "never selects its class x060c"));
  EXPECT_EQ(planned("--my_testing x052-f4 --n_layer 1 --n_embd 128").dim_ffn, 512);
  EXPECT_EQ(planned("--my_testing x052-f4 --n_layer 1 --n_embd 64 --dim_ffn 96").dim_ffn, 96);
  expect_contains(refusal("--my_testing r3 --my_pile_stage 3"), {"--my_testing r3", "preview", "x052"});
  expect_contains(refusal("--my_testing a --my_pile_stage 3"), {"--my_testing a", "attention"});
  expect_contains(refusal("--my_testing x060g --my_pile_stage 3"), {"x060g", "MishGLU"});
  expect_contains(refusal("--my_testing mamba"), {"mamba", "x060"});
}

TEST(OldTrainers, WhatCannotBeTogether) {
  expect_contains(refusal("--my_testing x060 --n_embd 64 --dim_att 128"), {"dim_att"});
  expect_contains(refusal("--my_testing x060 --n_embd 64 --pre_ffn 1"), {"pre_ffn"});
  expect_contains(refusal("--my_att_shift 2"), {"--my_att_shift 2"});
  expect_contains(refusal("--my_testing x060 --train_type states --doc_reset 1 --load_model \"\""), {"start state", "--doc_reset 1"});
  expect_contains(refusal("--train_type states --load_model m.pth --strategy deepspeed_stage_2_offload"), {"--offload", "--state_tune"});
  EXPECT_EQ(planned("--my_pile_stage 0 --n_embd 64 --dim_att 96").dim_att, 96) << "RWKV-4";
}

TEST(OldTrainers, WhatChangesNothingIsSaid) {
  EXPECT_TRUE(has_note(planned("--head_size_divisor 8"), "--head_size_divisor has no effect: RWKV-7"));
  EXPECT_TRUE(has_note(planned("--my_pile_stage 3 --head_size_a 64"), "--head_size has no effect: RWKV-4"));
  EXPECT_TRUE(has_note(planned("--my_pile_stage 3 --tiny_att_dim 8"), "--tiny_att_dim 8 has no effect"));
  EXPECT_FALSE(has_note(planned("--my_testing x060 --head_size_divisor 8"), "head_size_divisor"));
}

TEST(OldTrainers, StateTuning) {
  for (const char* spelling : {"--train_type states", "--train_type state", "--state_tune", "--peft state", "--state 1"}) {
    const RunConfig c = planned(std::string(spelling) + " --load_model m.pth");
    EXPECT_TRUE(c.state_tune) << spelling;
    EXPECT_EQ(c.lr_init, 1);
    EXPECT_EQ(c.lr_final, 0.01);
    EXPECT_TRUE(has_note(c, "defaults of state tuning: lr_init 1, lr_final 0.01"));
  }
  const RunConfig c = planned("--train_type states --load_model m.pth --lr_init 1e-5 --lr_final 1e-5");
  EXPECT_EQ(c.lr_init, 1e-5);
  EXPECT_TRUE(has_note(c, "is small for start states"));
}

// What v4neo fills in for the Pile, where the data is as large.
TEST(OldTrainers, PrimesOfThePile) {
  EXPECT_EQ(planned("--my_pile_stage 3 --n_layer 1 --ctx_len 4096").built_in_prime, 81082817);
  EXPECT_EQ(planned("--my_pile_stage 3 --n_layer 1 --ctx_len 6144 --my_pile_version 2 --my_testing \"\"").built_in_prime, 278373239);
  EXPECT_EQ(planned("--my_pile_stage 3 --n_layer 1 --ctx_len 6144").built_in_prime, 0);
  EXPECT_EQ(planned("--my_pile_stage 3 --my_testing x060 --n_layer 1 --ctx_len 4096").built_in_prime, 0) << "RWKV-v5 has none";
  EXPECT_EQ(automatic_prime(278373239, 1710325464000, 6144), 278373239);
  EXPECT_EQ(automatic_prime(278373239, 1000000, 6144), find_magic_prime(1000000, 6144));
  EXPECT_EQ(automatic_prime(0, 332115325534, 1024), 324331313) << "of the first Pile it is the computed one";
}

}  // namespace
}  // namespace rk
