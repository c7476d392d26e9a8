// Command lines and config files to RunConfig.
#include "train/config.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "device/gpu.h"
#include "train/config_option.h"
#include "train/config_values.h"
#include "train/dialects.h"
#include "train/paste.h"

namespace rk {
namespace {

using Words = std::vector<std::string>;

Words split(const std::string& line) {
  std::istringstream in(line);
  Words words;
  for (std::string word; in >> word;) words.push_back(word == "''" ? "" : word);
  return words;
}

RunConfig parsed(const std::string& line) { return parse_config(split(line)); }

std::string refusal(const std::string& line, int world = 1) {
  try {
    RunConfig c = parsed(line);
    validate(c, world);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::bad_input);
    return e.what();
  }
  return "accepted";
}

bool has_note(const RunConfig& c, const std::string& part) {
  for (const std::string& note : c.notes)
    if (note.find(part) != std::string::npos) return true;
  return false;
}

void expect_contains(const std::string& text, const Words& parts) {
  for (const std::string& part : parts) EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in: " << text;
}

// A file that is removed when the test ends.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content) : path_(::testing::TempDir() + "rookery_config_test.toml") {
    std::ofstream(path_) << content;
  }
  ~TemporaryFile() { std::remove(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(Config, SpellingsOfOneOption) {
  for (const char* line : {"--n_layer 12", "--n-layer 12", "--n_layer=12", "--n-layer=12", "-n_layer 12", "-n-layer=12"})
    EXPECT_EQ(parsed(line).n_layer, 12) << line;
  EXPECT_EQ(parsed("--my_testing x070").arch, "x070");
  EXPECT_EQ(parsed("--my_pile_stage 3").train_stage, 3);
  EXPECT_EQ(parsed("--head_size_a 32").head_size, 32);
  EXPECT_EQ(parsed("--accumulate_grad_batches 4").accumulate, 4);
  EXPECT_EQ(parsed("--gradient_clip_val 0.5").grad_clip, 0.5);
  EXPECT_EQ(parsed("--wandb=").wandb, "");
  EXPECT_EQ(parsed("--n_layer 6 --n_layer 12").n_layer, 12) << "the last one holds";
}

TEST(Config, TypedValues) {
  EXPECT_EQ(parsed("--my_exit_tokens 1.5e9").my_exit_tokens, 1500000000);
  EXPECT_EQ(parsed("--my_exit_tokens -8192000").my_exit_tokens, -8192000);
  EXPECT_EQ(parsed("--warmup_steps -1").warmup_steps, -1);
  EXPECT_EQ(parsed("--lr_init 2e-5").lr_init, 2e-5);
  EXPECT_TRUE(parsed("--grad_cp True").grad_cp);
  EXPECT_TRUE(parsed("--forever --grad_cp 0").forever);
  EXPECT_EQ(parsed("--vocab_size world").vocab_size, 65536);
  EXPECT_EQ(parsed("--save_every 100").save_every.every, 100);
  const Cadence tokens = parsed("--save_every 1e6tokens").save_every;
  EXPECT_EQ(tokens.every, 1000000);
  EXPECT_EQ(tokens.unit, Cadence::Unit::tokens);
  EXPECT_EQ(parsed("--save_every 10min").save_every.unit, Cadence::Unit::minutes);
  EXPECT_EQ(parsed("--save_every 50steps").save_every.unit, Cadence::Unit::steps);
}

TEST(Config, MalformedValuesAreRefusedInOneSentence) {
  expect_contains(refusal("--n_layer abc"), {"--n_layer abc", "a whole number from 0 on"});
  expect_contains(refusal("--n_layer 1.5"), {"--n_layer 1.5"});
  expect_contains(refusal("--n_layer -3"), {"--n_layer -3"});
  expect_contains(refusal("--micro_bsz 0"), {"--micro_bsz 0", "from 1 on"});
  expect_contains(refusal("--beta1 1"), {"--beta1 1", "from 0 to below 1"});
  expect_contains(refusal("--lr_init nan"), {"--lr_init nan"});
  expect_contains(refusal("--zero 4"), {"--zero 4", "from -1 to 3"});
  expect_contains(refusal("--train_stage 4"), {"--train_stage 4", "0 to 3"});
  expect_contains(refusal("--precision int8"), {"--precision int8", "one of fp32, bf16, fp64"});
  expect_contains(refusal("--save_every often"), {"--save_every often"});
  expect_contains(refusal("--strategy deepspeed_stage_4"), {"--strategy deepspeed_stage_4", "deepspeed_stage_1, 2, 3"});
  expect_contains(refusal("--dialect rwkv8"), {"--dialect rwkv8", "rwkv7"});
  expect_contains(refusal("--n_layer"), {"--n_layer"});
  expect_contains(refusal("--wandb --n_layer 6"), {"--wandb has no value"});
  expect_contains(refusal("--n_layer 99999999999999999999"), {"--n_layer 99999999999999999999"});
}

TEST(Config, UnknownOptionsNameTheNearest) {
  expect_contains(refusal("--n_layers 6"), {"--n_layers", "--n_layer"});
  expect_contains(refusal("--micro-bzs 6"), {"--micro_bzs", "--micro_bsz"});
  expect_contains(refusal("--lr_initt=1"), {"--lr_initt", "--lr_init"});
  expect_contains(refusal("12 --n_layer 6"), {"'12'"});
  expect_contains(refusal("--n_layer 6 7"), {"'7'"});
}

TEST(Config, FlagsOverruleFilesAndFilesOverruleDefaults) {
  const TemporaryFile file("# a run\nn_layer = 8\nn-embd = 256   # channels\nproj_dir = \"out dir/a,b\"\nlr_init = 3e-4\nforever = true\n");
  RunConfig c = parse_config({"--config", file.path(), "--n_layer", "4", "--data_file", "x"});
  EXPECT_EQ(c.n_layer, 4);
  EXPECT_EQ(c.n_embd, 256);
  EXPECT_EQ(c.proj_dir, "out dir/a,b");
  EXPECT_EQ(c.lr_init, 3e-4);
  EXPECT_TRUE(c.forever);
  validate(c, 1);
  expect_contains(c.text, {"n_layer = 4  # flag\n", "n_embd = 256  # file\n", "lr_final = 1e-05  # default\n"});
}

TEST(Config, FilesAreChecked) {
  const auto refused = [](const std::string& content) {
    const TemporaryFile file(content);
    return refusal("--config " + file.path());
  };
  expect_contains(refused("n_layers = 8\n"), {"toml", "n_layers", "nearest one is n_layer"});
  expect_contains(refused("n_layer = many\n"), {"toml: n_layer = many", "a whole number"});
  expect_contains(refused("[model]\nn_layer = 8\n"), {"[model]", "flat lines"});
  expect_contains(refused("proj_dir = \"a # b\"\n"), {"proj_dir", "quote"});
  expect_contains(refused("proj_dir = a b\n"), {"proj_dir", "2 values"});
  expect_contains(refused("config = other.toml\n"), {"config is not an option"});
  expect_contains(refusal("--config /nonexistent.toml"), {"/nonexistent.toml", "cannot be read"});
}

TEST(Config, ThePrintedRecordReadsBackToTheSameRun) {
  RunConfig c =
      parsed("--data_file d --n_layer 3 --lr_init 1e-3 --save_every 10min --bptt truncated --chunk_ctx 16 --grad_cp 1 --precision bf16");
  validate(c, 1);
  const TemporaryFile file(c.text);
  RunConfig again = parse_config({"--config", file.path()});
  validate(again, 1);
  std::string from_files = c.text;
  for (const char* origin : {"# default", "# flag"})
    for (size_t at = 0; (at = from_files.find(origin, at)) != std::string::npos;)
      from_files.replace(at, std::string(origin).size(), "# file");
  EXPECT_EQ(again.text, from_files);
}

TEST(Config, TheShareThatIsTrainedOnLeavesTheRestForValidation) {
  EXPECT_NEAR(parsed("--train_split_ratio 0.9").val_split, 0.1, 1e-15);
  EXPECT_EQ(parsed("--train_split_ratio 1").val_split, 0);
  EXPECT_EQ(parsed("--train_split_ratio None").val_split, 0);
  expect_contains(refusal("--train_split_ratio 0"), {"--train_split_ratio 0"});
}

TEST(Config, OldSpellingsOfParallelismAndPrecision) {
  EXPECT_EQ(parsed("--strategy deepspeed_stage_2").zero, 2);
  EXPECT_EQ(parsed("--strategy deepspeed_stage_3").zero, 3);
  EXPECT_EQ(parsed("--strategy ddp_find_unused_parameters_false").zero, 0);
  EXPECT_EQ(parsed("--strategy auto").zero, 0);
  EXPECT_EQ(parsed("--strategy deepspeed_stage_2 --zero 2").zero, 2);
  expect_contains(refusal("--strategy deepspeed_stage_2 --zero 1"), {"--strategy deepspeed_stage_2", "--zero 1", "contradict"});
  EXPECT_TRUE(parsed("--strategy deepspeed_stage_2_offload").offload_optimizer);
  EXPECT_FALSE(parsed("--strategy deepspeed_stage_2_offload").offload_params);
  EXPECT_TRUE(parsed("--strategy deepspeed_stage_3_offload").offload_params);
  EXPECT_EQ(parsed("--ds_bucket_mb 200").bucket_mib, 762);
  EXPECT_EQ(parsed("--precision bf16-mixed").precision, "bf16");
  EXPECT_EQ(parsed("--precision 32-true").precision, "fp32");
  expect_contains(refusal("--data_file d --accelerator cpu --precision 16"), {"fp16", "CPU"});
  expect_contains(refusal("--data_file d --accelerator cpu --precision tf32"), {"tf32", "CPU"});
  expect_contains(refusal("--data_file d --accelerator cpu --zero 1 --offload some"), {"--offload some", "optimizer,params"});
  RunConfig offloaded = parsed("--data_file d --accelerator cpu --strategy deepspeed_stage_3_offload");
  validate(offloaded, 1);
  EXPECT_FALSE(offloaded.offload_optimizer || offloaded.offload_params);
  EXPECT_TRUE(has_note(offloaded, "host memory already"));
  if (n_gpus() == 0) expect_contains(refusal("--data_file d --accelerator gpu"), {"--accelerator gpu", "CUDA"});
  EXPECT_EQ(parsed("--train_type infctx --bptt truncated").chunk_ctx, 512);
  EXPECT_EQ(parsed("--chunk_ctx 64 --train_type infctx").chunk_ctx, 64) << "the option itself overrules what another implies";
  EXPECT_EQ(parsed("--state_cp 1").chunk_ctx, 512);
  EXPECT_EQ(parsed("--state_cp 0").chunk_ctx, 0);
  EXPECT_EQ(parsed("--my_exit 2").my_exit, 2);
}

TEST(Config, DefaultsOfTheMachine) {
  RunConfig one = parsed("--data_file d");
  validate(one, 1);
  EXPECT_EQ(one.accelerator, n_gpus() > 0 ? "cuda" : "cpu");
  EXPECT_EQ(one.precision, n_gpus() > 0 ? "bf16" : "fp32");
  RunConfig wide = parsed("--data_file d --precision fp64");
  validate(wide, 1);
  EXPECT_EQ(wide.accelerator, "cpu");
  EXPECT_EQ(one.zero, 0);
  RunConfig four = parsed("--data_file d --accelerator cpu");
  validate(four, 4);
  EXPECT_EQ(four.zero, 1);
  EXPECT_EQ(four.global_bsz, 48);
}

TEST(Config, OptionsWithoutEffectPrintOneLine) {
  const RunConfig c = parsed("--fla --kernel @rwkv3 --num_workers 8 --enable_progress_bar True --n_layer 6");
  for (const char* name : {"--fla", "--kernel @rwkv3", "--num_workers 8", "--enable_progress_bar True"})
    EXPECT_TRUE(has_note(c, std::string(name)) && has_note(c, "has no effect")) << name;
  EXPECT_EQ(c.n_layer, 6);
}

TEST(Config, FeaturesThatDoNotExistAreRefusedUnlessSwitchedOff) {
  EXPECT_EQ(parsed("--my_ffn_shift 1 --my_pile_shift -1 --loss_mask none --peft none --quant none --moe 0").n_layer, 0);
  expect_contains(refusal("--peft lora --lora_config {\"lora_r\":8} --quant nf4"),
                  {"no such feature", "adapters", "--peft lora", "--lora_config", "quantised weights: --quant nf4"});
  expect_contains(refusal("--dpo 1"), {"--dpo 1"});
  expect_contains(refusal("--lora"), {"--lora"});
  expect_contains(refusal("--my_img_version 1"), {"images", "--my_img_version 1"});
  expect_contains(refusal("--my_att_shift 2"), {"distances", "--my_att_shift 2"});
  expect_contains(refusal("--bone_config bone_load: bone_r:64 --n_layer 2"), {"--bone_config bone_load: bone_r:64"});
  expect_contains(refusal("--train_parts [time, ln]"), {"--train_parts"});
  expect_contains(refusal("--data_file d --data_type wds_img"), {"wds_img"});
  expect_contains(refusal("--data_file d --data_type parquet"), {"parquet", "binidx"});
}

TEST(Config, BatchArithmetic) {
  const auto settled = [](const std::string& line, int world) {
    RunConfig c = parsed("--data_file d " + line);
    validate(c, world);
    return std::vector<int64_t>{c.micro_bsz, c.accumulate, c.global_bsz};
  };
  EXPECT_EQ(settled("--global_bsz 64 --micro_bsz 4", 2), (std::vector<int64_t>{4, 8, 64}));
  EXPECT_EQ(settled("--global_bsz 64 --accumulate 4", 2), (std::vector<int64_t>{8, 4, 64}));
  EXPECT_EQ(settled("--global_bsz 64", 1), (std::vector<int64_t>{8, 8, 64})) << "the largest micro-batch up to the default";
  EXPECT_EQ(settled("--global_bsz 64 --micro_bsz 8 --accumulate 4", 2), (std::vector<int64_t>{8, 4, 64}));
  EXPECT_EQ(settled("--micro_bsz 2 --accumulate 3", 4), (std::vector<int64_t>{2, 3, 24}));
  EXPECT_EQ(settled("--global_bsz 10", 4), (std::vector<int64_t>{3, 1, 10})) << "two rows are empty";
  EXPECT_EQ(settled("--global_bsz 100", 3), (std::vector<int64_t>{12, 3, 100})) << "9 micro-batches";
  EXPECT_EQ(settled("--global_bsz 64 --micro_bsz 5", 1), (std::vector<int64_t>{5, 13, 64}));
  EXPECT_EQ(settled("--global_bsz 7 --micro_bsz 2", 3), (std::vector<int64_t>{2, 2, 7})) << "two ranks have one micro-batch";
  EXPECT_EQ(settled("--global_bsz 7 --micro_bsz 2 --accumulate 2", 3), (std::vector<int64_t>{2, 2, 7}));
  EXPECT_EQ(settled("--global_bsz 7 --accumulate 2", 3), (std::vector<int64_t>{2, 2, 7}));
  EXPECT_EQ(settled("--global_bsz 2 --micro_bsz 4", 3), (std::vector<int64_t>{4, 1, 2}));
  expect_contains(refusal("--data_file d --global_bsz 64 --micro_bsz 4 --accumulate 2", 2), {"--global_bsz 64", "= 16", "8 micro-batches"});
}

TEST(Config, RanksMustBeThoseThatWereStarted) {
  EXPECT_EQ(refusal("--data_file d --devices 4", 4), "accepted");
  EXPECT_EQ(refusal("--data_file d --devices 4 --num_nodes 2", 8), "accepted");
  EXPECT_EQ(refusal("--data_file d --num_nodes 2", 8), "accepted");
  EXPECT_EQ(refusal("--data_file d", 3), "accepted");
  expect_contains(refusal("--data_file d --devices 4", 2), {"--devices 4", "--num_nodes 1", "2 were started"});
  expect_contains(refusal("--data_file d --num_nodes 3", 4), {"--num_nodes 3", "4 ranks"});
}

TEST(Config, CombinationsThatDoNotFit) {
  expect_contains(refusal("--n_layer 2"), {"--data_file is missing"});
  expect_contains(refusal("--data_file d --dim_ffn 100 --n_embd 64"), {"--dim_ffn 100", "256"});
  expect_contains(refusal("--data_file d --head_size 48 --n_embd 64"), {"n_embd = 64", "head_size = 48"});
  expect_contains(refusal("--data_file d --head_size 12"), {"--head_size 12", "multiple of 8"});
  expect_contains(refusal("--data_file d --bptt truncated"), {"--chunk_ctx"});
  expect_contains(refusal("--data_file d --val_every 10"), {"--val_file"});
  expect_contains(refusal("--train_stage 1"), {"--vocab_size"});
  RunConfig c = parsed("--data_file data/minipile.bin");
  validate(c, 1);
  EXPECT_EQ(c.data_file, "data/minipile");
}

TEST(Config, MissingFilesAreNamed) {
  RunConfig c = parsed("--data_file /nonexistent/tokens");
  validate(c, 1);
  try {
    check_files(c);
    FAIL() << "accepted";
  } catch (const Error& e) {
    expect_contains(e.what(), {"--data_file /nonexistent/tokens", "/nonexistent/tokens.idx"});
  }
}

TEST(Paste, WordsAroundTheOptionsAreLeftOut) {
  const RunConfig c = parsed("RWKV_VOCAB=WORLD CUDA_VISIBLE_DEVICES=0 python3 train.py --n_layer 12 \\ --n_embd 768 # the small one");
  EXPECT_EQ(c.n_layer, 12);
  EXPECT_EQ(c.n_embd, 768);
  EXPECT_TRUE(has_note(c, "RWKV_VOCAB=WORLD CUDA_VISIBLE_DEVICES=0 python3 train.py"));
  EXPECT_TRUE(has_note(c, "# the small one"));
  EXPECT_EQ(parsed("torchrun --nproc_per_node 8 train.py --n_layer 12").n_layer, 12);
  EXPECT_EQ(parsed("/usr/bin/python train.py --n_layer 12").n_layer, 12);
  EXPECT_EQ(parsed("train.py --n_layer 12").n_layer, 12);
  EXPECT_EQ(parsed("python train.py --n_layer 12").command_line, "python train.py --n_layer 12");
}

// The dialect of a pasted line; refused features do not matter for it.
std::string dialect_of(const std::string& line) {
  std::vector<GivenWord> given;
  const Words words = clean_pasted_line(split(line)).words;
  for (size_t i = 0; i < words.size(); ++i) {
    if (!words[i].starts_with("--")) continue;
    const bool has_value = i + 1 < words.size() && !words[i + 1].starts_with("--");
    given.push_back({words[i].substr(2), has_value ? words[i + 1] : ""});
  }
  return choose_dialect(given).name;
}

const char* const bone_line =
    "python train.py --load_model /home/rwkv/models/basemodel/3b.pth --proj_dir /home/rwkv/RWKV-PEFT/output_bone "
    "--data_file /home/rwkv/RWKV-PEFT/data/lora-test --data_type binidx --vocab_size 65536 --ctx_len 512 --epoch_steps 500 "
    "--epoch_count 5 --epoch_begin 0 --epoch_save 1 --micro_bsz 1 --n_layer 32 --n_embd 2560 --pre_ffn 0 --head_qk 0 "
    "--lr_init 2e-5 --lr_final 2e-5 --warmup_steps 0 --beta1 0.9 --beta2 0.99 --adam_eps 1e-8 --accelerator gpu --devices 1 "
    "--precision bf16 --strategy deepspeed_stage_1 --grad_cp 1 --my_testing x060 --dataload pad --loss_mask pad "
    "--peft bone --bone_config {\"bone_load\":\"\",\"bone_r\":64}";

const char* const rwkv7_line =
    "python train.py --load_model 0 --wandb '' --proj_dir out/L12-D768-x070 --my_testing x070 --ctx_len 512 --train_stage 3 "
    "--epoch_count 999999 --epoch_begin 0 --data_file data/minipile --my_exit_tokens 1498226207 --magic_prime 2926181 "
    "--num_nodes 1 --micro_bsz 16 --n_layer 12 --n_embd 768 --lr_init 6e-4 --lr_final 6e-5 --warmup_steps 10 --beta1 0.9 "
    "--beta2 0.99 --adam_eps 1e-18 --data_type binidx --vocab_size 65536 --weight_decay 0.001 --epoch_save 10 --head_size 64 "
    "--accelerator auto --devices 1 --precision bf16 --strategy deepspeed_stage_2 --grad_cp 1 --enable_progress_bar True "
    "--ds_bucket_mb 2";

TEST(Dialect, IsToldFromTheOptions) {
  EXPECT_EQ(dialect_of(bone_line), "peft24");
  EXPECT_EQ(dialect_of(rwkv7_line), "rwkv7");
  EXPECT_EQ(dialect_of("--my_testing x060 --my_pile_stage 3 --load_model 0"), "rwkv5");
  EXPECT_EQ(dialect_of("--my_pile_stage 3 --my_testing r3"), "rwkv4");
  EXPECT_EQ(dialect_of("--lora --lora_r 8 --lora_alpha 16 --my_pile_stage 0"), "lora4");
  EXPECT_EQ(dialect_of("--lora --lora_r 8 --ctx_len 32768 --state_cp 1 --initial_ctx_len 4096 --ctx_warmup_steps 200"), "chatgal");
  EXPECT_EQ(dialect_of("--ctx_len 4096 --ctx_parts 4 --strategy deepspeed_stage_2_offload"), "chatgal");
  EXPECT_EQ(dialect_of("--peft disha --disha_config x --my_testing x070"), "peft25");
  EXPECT_EQ(dialect_of("--op fla --my_testing x070"), "peft25");
  EXPECT_EQ(dialect_of("--peft miss --peft_config x"), "peft26");
  EXPECT_EQ(dialect_of("--rlhf_train_file f.save --dpo 1"), "rlhf");
  EXPECT_EQ(dialect_of("--n_layer 12"), "rwkv7");
}

TEST(Dialect, SetsTheDefaultsOfItsTrainer) {
  EXPECT_EQ(parsed("--train_stage 3").adam_eps, 1e-18);
  EXPECT_EQ(parsed("--my_pile_stage 3 --my_testing x070").adam_eps, 1e-8);
  EXPECT_EQ(parsed("--my_pile_stage 3 --my_testing x070").epoch_steps, 0) << "a mini-epoch is 40320 samples";
  EXPECT_EQ(parsed("--my_pile_stage 0 --my_testing x070").epoch_steps, 1000);
  EXPECT_EQ(parsed("--ctx_parts 4").warmup_floor, 0.2);
  EXPECT_EQ(parsed("--ctx_parts 4 --adam_eps 1e-10").adam_eps, 1e-10) << "a given value overrules the dialect";
  EXPECT_EQ(parsed("--dialect rwkv4").adam_eps, 1e-8);
  EXPECT_TRUE(parsed("--dialect rwkv7").append_eod);
  EXPECT_FALSE(parsed("--dialect peft25").append_eod) << "its lines of jsonl end without the id";
  EXPECT_EQ(parsed("--dialect rwkv7 --my_pile_stage 0 --my_testing x070").adam_eps, 1e-18) << "--dialect overrules the evidence";
  EXPECT_TRUE(has_note(parsed("--ctx_parts 4"), "dialect chatgal, by --ctx_parts"));
  const TemporaryFile file("my_pile_stage = 3\nmy_testing = \"x070\"\n");
  EXPECT_EQ(parse_config({"--config", file.path()}).dialect, "rwkv5");
}

TEST(Batch, AutomaticMicroBatchKeepsTheGlobalOne) {
  const auto planned = [](const std::string& line, int world) {
    RunConfig c = parsed(line);
    validate(c, world, {.plan = true});
    return c;
  };
  const RunConfig given = planned("--micro_bsz auto --global_bsz 64", 4);
  EXPECT_TRUE(given.micro_auto);
  EXPECT_EQ(given.micro_bsz * given.accumulate, 16);
  EXPECT_NE(given.text.find("micro_bsz = auto"), std::string::npos) << given.text;
  EXPECT_EQ(planned("--micro_bsz auto --accumulate_grad_batches 4", 2).global_bsz, planned("--accumulate_grad_batches 4", 2).global_bsz);
  EXPECT_EQ(planned("--micro_bsz auto --global_bsz 10", 4).accumulate, 3);
  EXPECT_FALSE(parsed("--micro_bsz auto --micro_bsz 3").micro_auto);
  expect_contains(refusal("--data_file x --accelerator cpu --micro_bsz auto"), {"--micro_bsz auto", "give a number"});
  expect_contains(refusal("--micro_bsz some"), {"--micro_bsz some", "or auto"});
}

TEST(Plan, NeedsNeitherDataNorAGpu) {
  RunConfig c = parsed("--n_layer 2");
  validate(c, 4, {.plan = true});
  EXPECT_EQ(c.accelerator, "cuda");
  EXPECT_EQ(c.precision, "bf16");
  EXPECT_EQ(c.zero, 1);
}

TEST(Dialect, ReferenceLineRunsAsItIs) {
  RunConfig c = parsed(rwkv7_line);
  validate(c, 1);
  EXPECT_EQ(c.load_model, "0");
  EXPECT_EQ(c.zero, 2);
  EXPECT_EQ(c.magic_prime, 2926181);
  EXPECT_EQ(c.my_exit_tokens, 1498226207);
  EXPECT_EQ(c.wandb, "");
}

TEST(MaskId, IsReadHoweverTheShellLeavesIt) {
  const Words forms[] = {{R"({"mask0": "User:", "mask1": "Assistant:"})"},
                         {"{mask0:User:,mask1:Assistant:}"},
                         {"{mask0:", "User:,", "mask1:", "Assistant:}"},
                         {"mask0:User:", "mask1:Assistant:"},
                         {"User:", "Assistant:"}};
  for (const Words& form : forms) {
    Words words{"--loss_mask", "se", "--mask_id"};
    words.insert(words.end(), form.begin(), form.end());
    const RunConfig c = parse_config(words);
    EXPECT_EQ(c.mask_user, "User:") << form[0];
    EXPECT_EQ(c.mask_assistant, "Assistant:") << form[0];
  }
  const RunConfig ids = parse_config({"--mask_id", R"({"mask0": [24281, 59], "mask1": "\n\n Bot:"})"});
  EXPECT_EQ(ids.mask_user, "[24281,59]");
  EXPECT_EQ(ids.mask_assistant, "\n\n Bot:");
  RunConfig again;
  ASSERT_TRUE(find_option("mask_id")->set(again, find_option("mask_id")->show(ids)));
  EXPECT_EQ(again.mask_user, ids.mask_user);
  EXPECT_EQ(again.mask_assistant, ids.mask_assistant);
  for (const char* wrong : {"User:", "{\"mask0\": 3, \"mask1\": \"A\"}", "{\"mask0\": \"A\"}", "a b c", "mask0: mask1:A"})
    EXPECT_FALSE(find_option("mask_id")->set(again, wrong)) << wrong;
}

TEST(Help, ListsEveryOption) {
  const std::string all = help_text(HelpRequest::all);
  for (const ConfigOption& o : config_options()) {
    EXPECT_NE(all.find("--" + o.name), std::string::npos) << o.name;
    for (const std::string& alias : o.aliases) EXPECT_NE(all.find("--" + alias), std::string::npos) << alias;
  }
  EXPECT_EQ(help_request({"--n_layer", "3", "--help-all"}), HelpRequest::all);
  EXPECT_EQ(help_request({"-h"}), HelpRequest::common);
}

TEST(Help, NoSpellingHasTwoMeanings) {
  std::map<std::string, std::string> owner;
  for (const ConfigOption& o : config_options()) {
    EXPECT_TRUE(owner.emplace(o.name, o.name).second) << o.name;
    for (const std::string& alias : o.aliases) EXPECT_TRUE(owner.emplace(alias, o.name).second) << alias;
  }
  for (const Dialect& d : dialect_table())
    for (const auto* defaults : {&d.defaults, &d.untrained})
      for (const auto& [name, value] : *defaults) {
        RunConfig c;
        ASSERT_TRUE(find_option(name)) << name;
        EXPECT_TRUE(find_option(name)->set(c, value)) << d.name << " " << name;
      }
}

}  // namespace
}  // namespace rk
