// Every rank reads and makes what it owns: together they have the weights that one rank has, and none takes much memory on the way.
#include <gtest/gtest.h>

#include <cstring>

#include "io/convert.h"
#include "support/anonymous_memory.h"
#include "support/tiny_model.h"
#include "support/tiny_run.h"
#include "train/build.h"
#include "train/fresh_values.h"
#include "train/initial_weights.h"
#include "train/weights_export.h"

namespace rk {
namespace {

using Weights = std::map<std::string, std::vector<double>>;

std::vector<double> doubles_of(const Tensor& t) {
  std::vector<double> values(static_cast<size_t>(t.numel()));
  convert_elements(t.dtype, t.data, DType::f64, values.data(), t.numel());
  return values;
}

std::vector<double> rounded(const std::vector<double>& values, DType dtype) {
  std::vector<std::byte> narrow(values.size() * size_of(dtype));
  std::vector<double> back(values.size());
  const auto n = static_cast<int64_t>(values.size());
  convert_elements(DType::f64, values.data(), dtype, narrow.data(), n);
  convert_elements(dtype, narrow.data(), DType::f64, back.data(), n);
  return back;
}

// How the ranks share a model, and from what they fill it.
struct Setting {
  int world = 1, stage = 0;
  DType dtype = DType::bf16;
  bool training = true;
};
std::string text_of(const Setting& s) {
  return cat(s.world, " ranks, stage ", s.stage, ", ", name_of(s.dtype), s.training ? "" : ", not trained");
}
using Fill = std::function<void(const Exec& ex, Model& model, Shards& shards)>;

// Fills the tiny model and expects every rank to see `expected`, rounded to the model's dtype, in its weights, and in the masters it owns.
void expect_weights(const Setting& s, const Fill& fill, const Weights& expected) {
  SCOPED_TRACE(text_of(s));
  run_thread_world(s.world, [&](Comm& comm) {
    const auto model = family_of("x070").make(test::tiny_spec(s.dtype));
    ThreadPool pool(1 + comm.rank() % 2);
    const Exec ex{.pool = &pool};
    // Buckets that cut through parameters.
    Shards shards(ex, comm, flat_layout(*model, s.world, 300),
                  {.dtype = s.dtype, .sharding = Sharding::stage(s.stage), .training = s.training});
    fill(ex, *model, shards);
    shards.refresh_weights(ex);
    for (const OwnedPiece& piece : shards.owned_pieces()) {
      const auto whole = rounded(expected.at(piece.param->name), s.dtype);
      const auto begin = whole.begin() + piece.first;
      EXPECT_EQ(doubles_of(piece.values), std::vector<double>(begin, begin + piece.values.numel())) << piece.param->name;
    }
    for (const Param& p : model->params.all()) {
      shards.acquire(p.unit);
      EXPECT_EQ(doubles_of(p.w), rounded(expected.at(p.name), s.dtype)) << p.name << " on rank " << comm.rank();
      shards.release(p.unit);
    }
  });
}

void for_each_setting(const std::function<void(const Setting&)>& body) {
  for (int world = 1; world <= 4; ++world)
    for (int stage = 0; stage <= 3; ++stage)
      for (DType dtype : {DType::bf16, DType::f32})
        for (bool training : {true, false}) body({world, stage, dtype, training});
}

class LoadRanks : public testing::Test {
 protected:
  // A file of the tiny model, its numbers rounded to `dtype`.
  std::string file(const std::string& name, DType dtype) {
    const auto model = family_of("x070").make(test::tiny_spec(dtype));
    std::vector<TensorInfo> infos;
    for (const Param& p : model->params.all()) {
      infos.push_back({p.name, dtype, {p.shape.size.begin(), p.shape.size.begin() + p.shape.rank}});
      wanted_[p.name] = rounded(test::normals(static_cast<size_t>(p.numel()), stream_of(p.name.c_str())), dtype);
    }
    const auto writer = create_tensor_file(folder_.path(name), infos, {});
    for (const TensorInfo& t : infos) {
      std::vector<std::byte> bytes(static_cast<size_t>(t.numel()) * size_of(dtype));
      convert_elements(DType::f64, wanted_[t.name].data(), dtype, bytes.data(), t.numel());
      writer->write(bytes.data(), bytes.size());
    }
    writer->finish();
    return folder_.path(name);
  }

  testing_support::TemporaryFolder folder_;
  Weights wanted_;
};

TEST_F(LoadRanks, FilesOfEveryFormat) {
  for (const auto& [name, dtype] : {std::pair{"bf16.pth", DType::bf16},
                                    {"f32.pth", DType::f32},
                                    {"f64.pth", DType::f64},
                                    {"f16.safetensors", DType::f16},
                                    {"f32.h5", DType::f32}}) {
    const std::string path = file(name, dtype);
    SCOPED_TRACE(path);
    for_each_setting([&](const Setting& s) {
      const auto fill = [&](const Exec& ex, Model& model, Shards& shards) { load_from_file(ex, model, shards, path, RunConfig{}); };
      expect_weights(s, fill, wanted_);
    });
  }
}

TEST_F(LoadRanks, WhatAFileLacksIsFresh) {
  const std::string whole = file("whole.pth", DType::bf16);
  const auto reader = open_tensor_file(whole);
  RunConfig config;
  config.load_partial = true;
  const auto model = family_of("x070").make(test::tiny_spec(DType::f32));
  std::vector<TensorInfo> infos;
  for (const TensorInfo& t : reader->tensors()) {
    if (t.name != "head.weight" && t.name != "blocks.1.att.w0") infos.push_back(t);
  }
  const auto writer = create_tensor_file(folder_.path("part.pth"), infos, {});
  for (const TensorInfo& t : infos) {
    std::vector<std::byte> bytes(static_cast<size_t>(t.numel()) * size_of(t.dtype));
    reader->read(static_cast<size_t>(reader->find(t.name)), 0, t.numel(), bytes.data());
    writer->write(bytes.data(), bytes.size());
  }
  writer->finish();
  for (const char* name : {"head.weight", "blocks.1.att.w0"}) wanted_[name] = fresh_values(model->params.at(name), seed_of(config));
  for_each_setting([&](const Setting& s) {
    expect_weights(
        s, [&](const Exec& ex, Model& m, Shards& shards) { load_from_file(ex, m, shards, folder_.path("part.pth"), config); }, wanted_);
  });
}

TEST_F(LoadRanks, FreshValues) {
  for (const char* init : {"reference", "normal"}) {
    RunConfig config;
    config.init = init;
    config.random_seed = 7;
    const auto model = family_of("x070").make(test::tiny_spec(DType::f32));
    for (const Param& p : model->params.all()) wanted_[p.name] = config.init == "normal" ? quick_values(p, 7) : fresh_values(p, 7);
    SCOPED_TRACE(init);
    for_each_setting([&](const Setting& s) {
      expect_weights(
          s, [&](const Exec& ex, Model& m, Shards& shards) { load_fresh(ex, m, shards, config); }, wanted_);
    });
  }
}

TEST_F(LoadRanks, FilesOfFreshValuesHoldTheSame) {
  RunConfig config;
  config.n_layer = 2;
  config.n_embd = 16;
  config.head_size = 8;
  config.vocab_size = 11;
  config.decay_lora = 4;
  config.aaa_lora = 5;
  config.mv_lora = 3;
  config.gate_lora = 6;
  ThreadPool pool(3);
  write_initial_weights(config, nullptr, DType::f32, folder_.path("init.pth"), pool);
  for (const auto& [name, values] : weights_of(folder_.path("init.pth"))) wanted_[name] = values;
  expect_weights(
      {3, 2}, [&](const Exec& ex, Model& m, Shards& shards) { load_fresh(ex, m, shards, config); }, wanted_);
}

// A donor of other sizes: tensors of its own, rows between its rows, and fresh ones.
TEST_F(LoadRanks, InitialWeightsTakeTensorsOfAnotherModel) {
  RunConfig config;
  config.load_model = file("donor.pth", DType::f32);
  config.vocab_size = 22;
  config.n_layer = 3;
  ThreadPool pool(2);
  write_initial_weights(config, nullptr, DType::f64, folder_.path("grown.pth"), pool);
  const Weights grown = weights_of(folder_.path("grown.pth"));
  EXPECT_EQ(grown.at("blocks.1.att.w0"), wanted_.at("blocks.1.att.w0"));
  EXPECT_EQ(grown.count("blocks.2.att.w0"), 1u);
  const std::vector<double>&from = wanted_.at("emb.weight"), &to = grown.at("emb.weight");
  ASSERT_EQ(to.size(), 22u * 16);
  for (size_t i = 0; i < 22; ++i)
    for (size_t c = 0; c < 16; ++c) {
      const double low = from[i / 2 * 16 + c], high = from[std::min<size_t>(i / 2 + 1, 10) * 16 + c];
      EXPECT_NEAR(to[i * 16 + c], i % 2 ? low * 0.5 + high * 0.5 : low, 1e-14) << i << " " << c;  // positions are rounded
    }
}

TEST_F(LoadRanks, Checkpoints) {
  write_tiny_data(folder_.path("tiny"), 6000, 50);
  RunConfig config = tiny_config(folder_.root(), "run", 2);
  config.zero = 1;
  config.precision = "bf16";
  config.max_steps = 5;
  config.save_every = {.every = 5};
  config.epoch_save = 0;
  tiny_train(config, 2);
  CheckpointReader reader(folder_.path("run/step-00000005"));
  Weights state;  // by part and name
  for (const TensorShape& t : reader.tensors())
    for (const char* part : {"master", "m", "v"}) {
      auto& values = state[part + t.name];
      int64_t n = 1;
      for (int64_t size : t.shape) n *= size;
      values.resize(static_cast<size_t>(n));
      reader.read(t.name, part, 0, n, DType::f64, values.data());
    }
  ModelSpec spec;
  spec.n_layer = 2;
  spec.n_embd = 32;
  spec.head_size = 8;
  spec.vocab_size = 50;
  spec.arch = "x070";
  spec.dtype = DType::bf16;
  const Family& family = family_of("x070");
  for_each_setting([&](const Setting& s) {
    if (s.dtype != DType::bf16) return;
    SCOPED_TRACE(text_of(s));
    run_thread_world(s.world, [&](Comm& comm) {
      const auto model = family.make(family.spec_for_new(spec));
      ThreadPool pool(1);
      const Exec ex{.pool = &pool};
      Shards shards(ex, comm, flat_layout(*model, s.world),
                    {.dtype = s.dtype, .sharding = Sharding::stage(s.stage), .training = s.training});
      CheckpointReader mine(folder_.path("run/step-00000005"));
      s.training ? load_from_checkpoint(ex, shards, mine) : load_weights_from_checkpoint(ex, *model, shards, mine);
      shards.refresh_weights(ex);
      for (const OwnedPiece& piece : shards.owned_pieces())
        for (const auto& [part, held] : {std::pair{"master", piece.master}, {"m", piece.m}, {"v", piece.v}}) {
          if (!s.training) continue;
          const auto begin = state.at(part + piece.param->name).begin() + piece.first;
          EXPECT_EQ(doubles_of(held), std::vector<double>(begin, begin + held.numel())) << part << " of " << piece.param->name;
        }
      for (const Param& p : model->params.all()) {
        shards.acquire(p.unit);
        EXPECT_EQ(doubles_of(p.w), rounded(state.at("master" + p.name), s.dtype)) << p.name;
        shards.release(p.unit);
      }
    });
  });
}

// A file of 280 MB. What is read and made passes through memory in small pieces.
TEST_F(LoadRanks, LittleMemoryBesideTheWeights) {
  constexpr size_t limit = size_t{128} << 20;
  RunConfig config;
  config.n_layer = 2;
  config.n_embd = 2048;
  config.vocab_size = 8192;
  config.init = "normal";
  config.precision = "bf16";
  const std::string path = folder_.path("large.pth");
  ThreadPool pool(2);
  {
    const test::AnonymousGrowth growth;
    write_initial_weights(config, nullptr, DType::bf16, path, pool);
    EXPECT_LT(growth.bytes(), limit) << "while writing";
  }
  Start start;
  start.kind = Start::Kind::weights;
  start.path = path;
  const auto model = build_model(config, start, nullptr);
  ASSERT_GT(model->params.numel(), 138'000'000);
  const auto comm = make_self_comm();
  const Exec ex{.pool = &pool};
  Shards shards(ex, *comm, flat_layout(*model, 1), {.dtype = DType::bf16, .training = false});
  {
    const test::AnonymousGrowth growth;
    load_from_file(ex, *model, shards, path, config);
    EXPECT_LT(growth.bytes(), limit) << "while loading";
  }
  {
    const test::AnonymousGrowth growth;
    shards.refresh_weights(ex);
    export_weights(ex, *model, shards, folder_.path("again.pth"));
    EXPECT_LT(growth.bytes(), limit) << "while exporting";
  }
  const auto one = open_tensor_file(path), two = open_tensor_file(folder_.path("again.pth"));
  for (size_t i = 0; i < one->tensors().size(); ++i) {
    const TensorInfo& t = one->tensors()[i];
    EXPECT_EQ(std::memcmp(one->mapped(i), two->mapped(i), static_cast<size_t>(t.numel()) * size_of(t.dtype)), 0) << t.name;
  }
}

}  // namespace
}  // namespace rk
