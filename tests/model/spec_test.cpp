#include <gtest/gtest.h>

#include "model/families.h"

namespace rk {
namespace {

const Family& rwkv7() { return family_of("x070"); }

// What a file of such a model lists.
std::vector<TensorInfo> tensors_of(const ModelSpec& spec) {
  std::vector<TensorInfo> infos;
  const auto model = rwkv7().make(spec);
  for (const Param& p : model->params.all()) {
    TensorInfo info;
    info.name = p.name;
    info.shape.assign(p.shape.size.begin(), p.shape.size.begin() + p.shape.rank);
    infos.push_back(info);
  }
  return infos;
}

ModelSpec small() {
  ModelSpec s;
  s.n_layer = 2;
  s.n_embd = 48;
  s.head_size = 16;
  s.vocab_size = 11;
  return rwkv7().spec_for_new(s);
}

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::bad_input);
    return e.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

TEST(Spec, DefaultsOfNewModels) {
  ModelSpec given;
  given.vocab_size = 65536;
  const ModelSpec s = rwkv7().spec_for_new(given);
  EXPECT_EQ(s.n_layer, 6);
  EXPECT_EQ(s.n_embd, 512);
  EXPECT_EQ(s.head_size, 64);
  EXPECT_EQ(s.dim_att, 512);
  EXPECT_EQ(s.dim_ffn, 2048);
  EXPECT_TRUE(s.layer0_v);
}

TEST(Spec, WidthsRoundHalvesToEven) {
  ModelSpec given;
  given.vocab_size = 10;
  given.n_embd = 256;
  EXPECT_EQ(rwkv7().spec_for_new(given).gate_lora, 64);
  given.n_embd = 1024;
  const ModelSpec s = rwkv7().spec_for_new(given);
  EXPECT_EQ(s.decay_lora, 64);
  EXPECT_EQ(s.aaa_lora, 64);
  EXPECT_EQ(s.mv_lora, 64);
  EXPECT_EQ(s.gate_lora, 160);
}

TEST(Spec, NewModelsThatAreRefused) {
  const auto with = [](auto change) {
    ModelSpec s;
    s.vocab_size = 100;
    change(s);
    return refusal([&] { rwkv7().spec_for_new(s); });
  };
  EXPECT_NE(with([](ModelSpec& s) { s.vocab_size = 0; }).find("--vocab_size"), std::string::npos);
  EXPECT_NE(with([](ModelSpec& s) { s.n_embd = 100; }).find("try 64"), std::string::npos);
  EXPECT_NE(with([](ModelSpec& s) { s.head_size = 12; }).find("head_size = 12"), std::string::npos);
  EXPECT_NE(with([](ModelSpec& s) { s.head_size = 512; }).find("256"), std::string::npos);
  EXPECT_NE(with([](ModelSpec& s) { s.dim_ffn = 1792; }).find("--dim_ffn 1792"), std::string::npos);
  EXPECT_NE(with([](ModelSpec& s) { s.dim_att = 256; }).find("--dim_att 256"), std::string::npos);
  EXPECT_NE(with([](ModelSpec& s) { s.n_layer = -1; }).find("--n_layer"), std::string::npos);
}

TEST(Spec, FromFile) {
  ModelSpec made = small();
  made.decay_lora = 8;
  made.aaa_lora = 16;
  made.mv_lora = 24;
  made.gate_lora = 40;
  made.dim_ffn = 100;
  for (bool layer0_v : {true, false}) {
    made.layer0_v = layer0_v;
    auto tensors = tensors_of(made);
    for (TensorInfo& t : tensors) t.name = "_forward_module." + t.name;
    EXPECT_EQ(&family_of_file(tensors, "f.pth"), &rwkv7());
    const ModelSpec s = rwkv7().spec_from_file({}, tensors, "f.pth");
    EXPECT_EQ(s.n_layer, 2);
    EXPECT_EQ(s.n_embd, 48);
    EXPECT_EQ(s.head_size, 16);
    EXPECT_EQ(s.vocab_size, 11);
    EXPECT_EQ(s.dim_ffn, 100);
    EXPECT_EQ(s.decay_lora, 8);
    EXPECT_EQ(s.aaa_lora, 16);
    EXPECT_EQ(s.mv_lora, 24);
    EXPECT_EQ(s.gate_lora, 40);
    EXPECT_EQ(s.layer0_v, layer0_v);
  }
}

TEST(Spec, OneLayerFromFile) {
  ModelSpec made = small();
  made.n_layer = 1;
  for (bool layer0_v : {true, false}) {
    made.layer0_v = layer0_v;
    const ModelSpec s = rwkv7().spec_from_file({}, tensors_of(made), "f.pth");
    EXPECT_EQ(s.n_layer, 1);
    EXPECT_EQ(s.layer0_v, layer0_v);
    EXPECT_EQ(s.mv_lora, 32);
  }
}

TEST(Spec, ContradictionsAreNamed) {
  const auto tensors = tensors_of(small());
  const auto with = [&](auto change) {
    ModelSpec given;
    change(given);
    return refusal([&] { rwkv7().spec_from_file(given, tensors, "f.pth"); });
  };
  EXPECT_EQ(with([](ModelSpec& s) { s.n_embd = 64; }),
            "f.pth: tensor emb.weight says n_embd = 48, but --n_embd 64 was given; leave the flag out or give 48");
  EXPECT_NE(with([](ModelSpec& s) { s.n_layer = 3; }).find("blocks.1"), std::string::npos);
  EXPECT_NE(with([](ModelSpec& s) { s.head_size = 64; }).find("blocks.0.att.r_k"), std::string::npos);
  EXPECT_NE(with([](ModelSpec& s) { s.vocab_size = 12; }).find("vocab_size = 11"), std::string::npos);
  EXPECT_NE(with([](ModelSpec& s) { s.decay_lora = 64; }).find("blocks.0.att.w1"), std::string::npos);
  EXPECT_NE(with([](ModelSpec& s) { s.dim_ffn = 64; }).find("blocks.0.ffn.key.weight"), std::string::npos);
}

TEST(Spec, FilesThatAreRefused) {
  const auto without = [](const std::string& name) {
    auto tensors = tensors_of(small());
    std::erase_if(tensors, [&](const TensorInfo& t) { return t.name == name; });
    return refusal([&] { rwkv7().spec_from_file({}, tensors, "f.pth"); });
  };
  for (const char* name : {"emb.weight", "blocks.0.att.w1", "blocks.1.att.r_k", "blocks.1.att.v1", "blocks.0.att.v0"})
    EXPECT_NE(without(name).find("f.pth"), std::string::npos) << name;
  EXPECT_NE(refusal([] { family_of_file({TensorInfo{"conv.weight", DType::f32, {3}}}, "x.pth"); }).find("x.pth"), std::string::npos);
  EXPECT_NE(refusal([] { family_of("x999"); }).find("x070"), std::string::npos);
}

TEST(Model, GroupsUnitsAndUnusedTensors) {
  ModelSpec spec = small();
  const auto model = rwkv7().make(spec);
  EXPECT_EQ(model->units.size(), 4u);
  int64_t decayed = 0;
  for (const Param& p : model->params.all()) {
    EXPECT_EQ(p.lr_scale, p.name.find("att.w0") != std::string::npos ? 2 : 1) << p.name;
    decayed += p.decay;
    const bool unused = p.name.starts_with("blocks.0.att.v") && p.name.size() == 15;
    EXPECT_EQ(p.used, !unused) << p.name;
  }
  EXPECT_EQ(decayed, 2 + 2 * 6);
  EXPECT_TRUE(model->params.at("head.weight").decay);
  EXPECT_FALSE(model->params.at("blocks.0.att.r_k").decay);
  EXPECT_FALSE(model->params.at("blocks.1.att.w2").decay);
  EXPECT_FALSE(model->params.at("blocks.1.ln1.weight").decay);
  EXPECT_EQ(model->params_of(0).size(), 3u);
  EXPECT_EQ(model->params_of(3).size(), 3u);
  EXPECT_EQ(model->params_of(1).back()->name, "blocks.0.ffn.value.weight");
  int64_t in_units = 0;
  for (int u = 0; u < 4; ++u)
    for (const Param* p : model->params_of(u)) in_units += p->numel();
  EXPECT_EQ(in_units, model->params.numel());
  spec.layer0_v = false;
  EXPECT_EQ(rwkv7().make(spec)->params.find("blocks.0.att.v1"), nullptr);
}

TEST(Model, InitialValuesOfOneLayerAreFinite) {
  ModelSpec spec = small();
  spec.n_layer = 1;
  const auto model = rwkv7().make(spec);
  const Param& w0 = model->params.at("blocks.0.att.w0");
  EXPECT_NEAR(w0.init.formula(0), -5.5 - 2.5, 1e-12);
  EXPECT_NEAR(w0.init.formula(47), -5.5 + 6 + 2.5, 1e-12);
  EXPECT_EQ(model->params.at("blocks.0.att.x_r").init.formula(0), 1);
  EXPECT_EQ(model->params.at("blocks.0.att.ln_x.weight").init.value, 1);
}

TEST(PlainName, StripsWrappers) {
  EXPECT_EQ(plain_name("emb.weight"), "emb.weight");
  EXPECT_EQ(plain_name("_forward_module.emb.weight"), "emb.weight");
  EXPECT_EQ(plain_name("state_dict.model.module.blocks.0._orig_mod.att.w0"), "blocks.0.att.w0");
  EXPECT_EQ(plain_name("blocks.0.model.w"), "blocks.0.model.w");
  EXPECT_EQ(plain_name("module"), "module");
  EXPECT_EQ(plain_name(""), "");
}

}  // namespace
}  // namespace rk
