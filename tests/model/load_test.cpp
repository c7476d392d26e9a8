#include "model/load.h"

#include <gtest/gtest.h>

#include <cstring>

#include "model/families.h"
#include "support/tiny_model.h"

namespace rk {
namespace {

// A file in memory whose elements are known by tensor name and position.
class FakeFile : public TensorReader {
 public:
  std::vector<TensorInfo> infos;
  static double value(const std::string& name, int64_t i) {
    return static_cast<double>(static_cast<float>(stream_of(name.c_str()) % 97) + static_cast<float>(i % 100) / 128);
  }
  const std::vector<TensorInfo>& tensors() const override { return infos; }
  void read(size_t index, int64_t first, int64_t n, void* destination) override {
    longest = std::max(longest, n);
    for (int64_t i = 0; i < n; ++i) {
      const auto x = static_cast<float>(value(plain_name(infos[index].name), first + i));
      std::memcpy(static_cast<float*>(destination) + i, &x, sizeof x);
    }
  }
  const char* format() const override { return "fake"; }
  std::string verify() override { return ""; }
  int64_t longest = 0;
};

FakeFile file_of(const Model& model, const std::string& prefix = "") {
  FakeFile file;
  for (const Param& p : model.params.all()) {
    TensorInfo info;
    info.name = prefix + p.name;
    info.shape.assign(p.shape.size.begin(), p.shape.size.begin() + p.shape.rank);
    file.infos.insert(file.infos.begin(), info);  // another order than the model's
  }
  return file;
}

std::unique_ptr<Model> model_of(int64_t vocab_size = 11) {
  ModelSpec spec = test::tiny_spec(DType::f32);
  spec.vocab_size = vocab_size;
  return family_of("x070").make(spec);
}

using Loaded = std::map<std::string, std::vector<double>>;

std::vector<const Param*> load(const Model& model, FakeFile& file, bool partial, Loaded& loaded) {
  return load_weights(model, file, "f.pth", partial, [&](const Param& p, int64_t first, std::span<const double> values) {
    std::vector<double>& all = loaded[p.name];
    EXPECT_EQ(static_cast<size_t>(first), all.size()) << p.name;
    all.insert(all.end(), values.begin(), values.end());
  });
}

std::string refusal(const Model& model, FakeFile& file, bool partial = false) {
  Loaded loaded;
  try {
    load(model, file, partial, loaded);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::bad_input);
    EXPECT_TRUE(loaded.empty()) << "nothing is changed before all is checked";
    return e.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

TEST(Load, DeliversEveryTensorInPieces) {
  const auto model = model_of(100000);
  for (const char* prefix : {"", "_forward_module."}) {
    FakeFile file = file_of(*model, prefix);
    Loaded loaded;
    EXPECT_TRUE(load(*model, file, false, loaded).empty());
    for (const Param& p : model->params.all()) {
      ASSERT_EQ(loaded[p.name].size(), static_cast<size_t>(p.numel())) << p.name;
      for (int64_t i = 0; i < p.numel(); i += 1 + p.numel() / 1000)
        ASSERT_EQ(loaded[p.name][static_cast<size_t>(i)], FakeFile::value(p.name, i)) << p.name << " " << i;
    }
    EXPECT_LT(file.longest, model->params.at("emb.weight").numel());
  }
}

TEST(Load, AcceptsVectorsOfAnyRank) {
  const auto model = model_of();
  FakeFile file = file_of(*model);
  for (TensorInfo& t : file.infos)
    if (t.shape.size() == 3) t.shape = {t.shape[2]};
  Loaded loaded;
  EXPECT_TRUE(load(*model, file, false, loaded).empty());
}

TEST(Load, RefusesWhatDoesNotFit) {
  const auto model = model_of();
  FakeFile missing = file_of(*model);
  std::erase_if(missing.infos, [](const TensorInfo& t) { return t.name == "blocks.1.att.w0"; });
  EXPECT_NE(refusal(*model, missing).find("blocks.1.att.w0"), std::string::npos);

  FakeFile extra = file_of(*model);
  extra.infos.push_back({"head.bias", DType::f32, {11}});
  EXPECT_NE(refusal(*model, extra).find("head.bias"), std::string::npos);

  FakeFile shaped = file_of(*model);
  for (TensorInfo& t : shaped.infos)
    if (t.name == "blocks.0.att.w1") std::swap(t.shape[0], t.shape[1]);
  for (bool partial : {false, true}) {
    const std::string text = refusal(*model, shaped, partial);
    EXPECT_NE(text.find("blocks.0.att.w1 has shape [4, 16], but the model needs [16, 4]"), std::string::npos) << text;
  }

  FakeFile whole_numbers = file_of(*model);
  whole_numbers.infos[3].dtype = DType::i32;
  EXPECT_NE(refusal(*model, whole_numbers).find("i32"), std::string::npos);

  FakeFile twice = file_of(*model);
  twice.infos.push_back(twice.infos[0]);
  twice.infos.back().name = "module." + twice.infos[0].name;
  EXPECT_NE(refusal(*model, twice).find("module."), std::string::npos);
}

TEST(Load, PartialReturnsWhatIsMissing) {
  const auto model = model_of();
  FakeFile file = file_of(*model);
  std::erase_if(file.infos, [](const TensorInfo& t) { return t.name == "blocks.1.att.w0"; });
  file.infos.push_back({"head.bias", DType::f32, {11}});
  Loaded loaded;
  const auto missing = load(*model, file, true, loaded);
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0]->name, "blocks.1.att.w0");
  EXPECT_EQ(loaded.count("blocks.1.att.w0"), 0u);
  EXPECT_EQ(loaded.count("head.bias"), 0u);
  EXPECT_EQ(loaded.size(), model->params.all().size() - 1);
}

// A file of plain weights is one of a model that begins from a trained state, too: the state is fresh.
TEST(Load, StatesAtTheBeginningMayBeMissing) {
  for (const char* kind : {"x060+state", "x052+state", "x070+state"}) {
    ModelSpec spec = test::tiny_model(kind, DType::f32);
    spec.n_embd = spec.dim_att = spec.dim_ffn = 32;
    const auto model = family_of(spec.arch).make(spec);
    FakeFile file = file_of(*model);
    std::erase_if(file.infos, [](const TensorInfo& t) { return t.name.ends_with("time_state"); });
    EXPECT_FALSE(family_of(spec.arch).spec_from_file({}, file.infos, "f.pth").time_state) << kind;
    ModelSpec asked;
    asked.time_state = true;
    EXPECT_TRUE(family_of(spec.arch).spec_from_file(asked, file.infos, "f.pth").time_state) << kind;
    Loaded loaded;
    const auto missing = load(*model, file, false, loaded);
    ASSERT_EQ(missing.size(), 2u) << kind;
    EXPECT_EQ(missing[0]->name, "blocks.0.att.time_state");
    EXPECT_EQ(missing[0]->init.kind, InitKind::constant);
    EXPECT_EQ(missing[0]->init.value, 0);
    EXPECT_EQ(missing[0]->shape, (Shape{4, 8, 8}));
    std::erase_if(file.infos, [](const TensorInfo& t) { return t.name == "blocks.1.ln1.bias"; });
    EXPECT_NE(refusal(*model, file).find("the model's blocks.1.ln1.bias is missing"), std::string::npos) << kind;
  }
}

}  // namespace
}  // namespace rk
