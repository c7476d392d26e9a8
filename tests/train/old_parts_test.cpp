// Runs and files of models with parts that only old trainers have.
#include <gtest/gtest.h>

#include "support/tiny_run.h"
#include "train/build.h"
#include "train/checkpoint_tensors.h"
#include "train/config.h"
#include "train/evaluation.h"
#include "train/generator.h"
#include "train/initial_weights.h"

namespace rk {
namespace {

class OldRuns : public ::testing::Test {
 protected:
  OldRuns() { write_tiny_data(folder_.path("tiny"), 6000, 50); }

  // A run of RWKV-4 with all old parts, on samples of 15 tokens.
  RunConfig config(const std::string& run) const {
    RunConfig c = tiny_config(folder_.root(), run);
    c.arch = "x040";
    c.dim_att = 64;
    c.head_size = 0;
    c.ctx_len = 15;
    c.head_qk = 8;
    c.tiny_att_dim = 8;
    c.tiny_att_layer = 1;
    c.my_pos_emb = 4;
    c.pre_ffn = true;
    c.max_steps = 6;
    c.text = "ctx_len = 15  # flag\n";
    return c;
  }
  std::string refusal(RunConfig c) const {
    try {
      tiny_train(c, 1);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::bad_input);
      return e.what();
    }
    return "nothing was refused";
  }

  testing_support::TemporaryFolder folder_;
};

std::vector<double> numbers_of(TensorReader& file, const std::string& name) {
  const int index = file.find(name);
  if (index < 0) fail(cat("the file lacks ", name));
  std::vector<double> x(static_cast<size_t>(file.tensors()[static_cast<size_t>(index)].numel()));
  file.read_as(static_cast<size_t>(index), 0, static_cast<int64_t>(x.size()), x.data());
  return x;
}

void expect_mask(TensorReader& file, const std::string& name, size_t n) {
  const std::vector<double> mask = numbers_of(file, name);
  ASSERT_EQ(mask.size(), n * n) << name;
  for (size_t i = 0; i < mask.size(); ++i) EXPECT_EQ(mask[i], i % n <= i / n ? 1 : 0) << name << " " << i;
}

std::vector<std::string> names_of(const TensorReader& file) {
  std::vector<std::string> names;
  for (const TensorInfo& t : file.tensors()) names.push_back(t.name);
  return names;
}

TEST_F(OldRuns, WriteMasksIntoAllFilesOfWeights) {
  const TinyHistory history = tiny_train(config("run"), 1)[0];
  ASSERT_EQ(history.loss.size(), 6u);
  EXPECT_LT(history.loss.back(), history.loss.front());
  const auto fresh = open_tensor_file(folder_.path("run/rwkv-init.pth")), trained = open_tensor_file(folder_.path("run/rwkv-final.pth"));
  const auto checkpoint = open_checkpoint(find_checkpoint(folder_.path("run")), CheckpointParts::weights);
  ASSERT_EQ(names_of(*fresh).front(), "copy_mask");
  EXPECT_EQ(names_of(*trained), names_of(*fresh));
  EXPECT_EQ(names_of(*checkpoint), names_of(*fresh));
  for (TensorReader* file : {fresh.get(), trained.get(), checkpoint.get()}) {
    expect_mask(*file, "copy_mask", 15);
    expect_mask(*file, "blocks.1.tiny_mask", 15);
  }
  EXPECT_EQ(numbers_of(*checkpoint, "head_q.weight"), numbers_of(*trained, "head_q.weight"));
  EXPECT_NE(numbers_of(*trained, "head_q.weight"), numbers_of(*fresh, "head_q.weight"));

  // Masks of another length do not matter, and those of the run's length are written again.
  RunConfig again = config("again");
  again.head_qk = again.tiny_att_dim = again.my_pos_emb = 0;  // the file knows
  again.pre_ffn = false;
  again.load_model = folder_.path("run/rwkv-final.pth");
  const TinyHistory next = tiny_train(again, 1)[0];
  EXPECT_LT(next.loss.front(), history.loss.front());
  const auto longer = open_tensor_file(folder_.path("again/rwkv-final.pth"));
  EXPECT_EQ(names_of(*longer), names_of(*fresh));
}

TEST_F(OldRuns, FreshFilesHoldWhatARunBeginsWith) {
  RunConfig c = config("fresh");
  ThreadPool pool(2);
  validate(c, 1);
  write_initial_weights(c, nullptr, DType::bf16, folder_.path("init.pth"), pool);
  const auto file = open_tensor_file(folder_.path("init.pth"));
  expect_mask(*file, "copy_mask", 15);
  expect_mask(*file, "blocks.1.tiny_mask", 15);
  // Another model made of it keeps its parts.
  RunConfig grown = c;
  grown.head_qk = grown.tiny_att_dim = grown.my_pos_emb = 0;
  grown.pre_ffn = false;
  grown.n_layer = 3;
  grown.load_model = folder_.path("init.pth");
  write_initial_weights(grown, nullptr, DType::f32, folder_.path("grown.pth"), pool);
  const auto larger = open_tensor_file(folder_.path("grown.pth"));
  EXPECT_EQ(numbers_of(*larger, "head_k.weight"), numbers_of(*file, "head_k.weight"));
  EXPECT_EQ(numbers_of(*larger, "blocks.0.ffnPre.key.weight"), numbers_of(*file, "blocks.0.ffnPre.key.weight"));
  EXPECT_GE(larger->find("blocks.2.att.key.weight"), 0);
}

TEST_F(OldRuns, RefuseSamplesThatTheyCannotTake) {
  RunConfig c = config("refused");
  c.chunk_ctx = 5;
  EXPECT_NE(refusal(c).find("--chunk_ctx 5 is not possible: the model's head_qk and tiny_att look at all"), std::string::npos)
      << refusal(c);
  c = config("refused");
  c.ctx_len = 16;
  EXPECT_NE(refusal(c).find("--ctx_len 16"), std::string::npos) << refusal(c);
  c = config("refused");
  c.doc_reset = 1;
  EXPECT_NE(refusal(c).find("--doc_reset 0"), std::string::npos) << refusal(c);
  c.head_qk = c.tiny_att_dim = c.my_pos_emb = 0;
  c.doc_reset = 0;
  c.chunk_ctx = 5;  // pre_ffn carries states like others
  EXPECT_EQ(refusal(c), "nothing was refused");
}

TEST_F(OldRuns, AreMeasuredOnWholeSamplesAndMakeNoText) {
  tiny_train(config("run"), 1);
  const std::string file = folder_.path("run/rwkv-final.pth");
  try {
    Generator(file, DType::f32, {.threads = 1});
    ADD_FAILURE() << "nothing was refused";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("token by token"), std::string::npos) << e.what();
  }
  RunConfig c = config("run");
  c.val_file = folder_.path("tiny");
  LoadedModel model(file, DType::f32, {.threads = 1});
  const auto data = open_data(c, folder_.root());
  const BatchShape whole{.B = 2, .T = 15, .segment = 15};
  const auto result = evaluate(model, data->validation_source(50), whole);
  EXPECT_GT(result.loss, 0);
  BatchShape cut = whole;
  cut.segment = 5;
  EXPECT_THROW(evaluate(model, data->validation_source(50), cut), Error);
}

}  // namespace
}  // namespace rk
