// Sizes of RWKV-5.2 and RWKV-6 models, from files and for new ones.
#include <gtest/gtest.h>

#include "model/families.h"

namespace rk {
namespace {

ModelSpec small(const std::string& arch) {
  ModelSpec s;
  s.arch = arch;
  s.n_layer = 2;
  s.n_embd = 64;
  s.head_size = 16;
  s.vocab_size = 11;
  return family_of(arch).spec_for_new(s);
}

std::vector<TensorInfo> tensors_of(const ModelSpec& spec) {
  std::vector<TensorInfo> infos;
  const auto model = family_of(spec.arch).make(spec);
  for (const Param& p : model->params.all())
    infos.push_back({"module." + p.name, DType::f32, {p.shape.size.begin(), p.shape.size.begin() + p.shape.rank}});
  return infos;
}

// What a refusal says.
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
#define EXPECT_SAYS(call, what) EXPECT_NE(refusal([&] { call; }).find(what), std::string::npos)

TEST(OldSpec, DefaultsOfNewModels) {
  const auto sizes = [](const std::string& arch, int64_t n_embd) {
    ModelSpec s;
    s.arch = arch;
    s.vocab_size = 65536;
    s.n_embd = n_embd;
    return family_of(arch).spec_for_new(s);
  };
  EXPECT_EQ(sizes("x060", 2048).dim_ffn, 7168);
  EXPECT_EQ(sizes("x052", 96 * 64).dim_ffn, 21504);
  EXPECT_EQ(sizes("x060", 320).dim_ffn, 1120);
  EXPECT_EQ(sizes("x060-f4", 2048).dim_ffn, 8192);
  EXPECT_EQ(sizes("x052-f4", 2048).dim_ffn, 8192);
  EXPECT_EQ(sizes("x060", 2048).mix_lora, 32);
  EXPECT_EQ(sizes("x060", 2048).decay_lora, 64);
  EXPECT_EQ(sizes("x060", 4096).mix_lora, 64);
  EXPECT_EQ(sizes("x060", 4096).decay_lora, 128);
  EXPECT_EQ(sizes("x060a", 2048).gate_lora, 64);
  EXPECT_EQ(sizes("x060b", 2048).gate_lora, 0);
  EXPECT_EQ(sizes("x060a-f4", 2048).arch, "x060a");
  EXPECT_EQ(sizes("x060", 2048).head_size_divisor, 8);
}

// Numbers of parameters that the golden table has.
TEST(OldSpec, ParametersOfReleasedSizes) {
  const auto n = [](const char* arch, int64_t n_layer, int64_t n_embd) {
    ModelSpec s;
    s.arch = arch;
    s.vocab_size = 65536;
    s.n_layer = n_layer;
    s.n_embd = n_embd;
    const Family& family = family_of(arch);
    return family.make(family.spec_for_new(s))->params.numel();
  };
  EXPECT_EQ(n("x052", 24, 2048), 1577754624);
  EXPECT_EQ(n("x060", 24, 2048), 1599873024);
  EXPECT_EQ(n("x060", 61, 4096), 14069088256);
}

TEST(OldSpec, FromFileAsMade) {
  for (const char* arch : {"x060", "x060a", "x060b", "x052"})
    for (bool time_state : {false, true}) {
      ModelSpec made = small(arch);
      made.dim_ffn = 96;
      made.time_state = time_state;
      if (made.mix_lora > 0) made.mix_lora = 5;
      if (made.decay_lora > 0) made.decay_lora = 7;
      if (made.gate_lora > 0) made.gate_lora = 9;
      made.old.head_qk = 3;
      const auto tensors = tensors_of(made);
      const Family& family = family_of_file(tensors, "f.pth");
      EXPECT_EQ(&family, &family_of(arch));
      ModelSpec s = family.spec_from_file({}, tensors, "f.pth");
      EXPECT_EQ(s.arch, arch);
      EXPECT_EQ(s.time_state, time_state);
      EXPECT_EQ(s.old, made.old);
      for (int64_t ModelSpec::*size :
           {&ModelSpec::n_layer, &ModelSpec::n_embd, &ModelSpec::vocab_size, &ModelSpec::head_size, &ModelSpec::dim_att,
            &ModelSpec::dim_ffn, &ModelSpec::mix_lora, &ModelSpec::decay_lora, &ModelSpec::gate_lora, &ModelSpec::head_size_divisor})
        EXPECT_EQ(s.*size, made.*size) << arch;
    }
}

TEST(OldSpec, NewModelsThatAreRefused) {
  const auto with = [](const char* arch, auto change) {
    ModelSpec s;
    s.arch = arch;
    s.vocab_size = 100;
    change(s);
    return refusal([&] { family_of(arch).spec_for_new(s); });
  };
  const auto nothing = [](ModelSpec&) {};
  EXPECT_NE(with("x060g", nothing).find("MishGLU"), std::string::npos);
  EXPECT_NE(with("x052-g", nothing).find("MishGLU"), std::string::npos);
  for (const char* arch : {"x060", "x052"}) {
    EXPECT_NE(with(arch, [](ModelSpec& s) { s.vocab_size = 0; }).find("--vocab_size"), std::string::npos);
    EXPECT_NE(with(arch, [](ModelSpec& s) { s.dim_att = 256; }).find("--dim_att 256"), std::string::npos);
    EXPECT_NE(with(arch, [](ModelSpec& s) { s.dim_ffn = 100; }).find("dim_ffn"), std::string::npos);
    EXPECT_NE(with(arch, [](ModelSpec& s) { s.n_embd = 48, s.head_size = 16; }).find("n_embd"), std::string::npos);
    EXPECT_NE(with(arch, [](ModelSpec& s) { s.mv_lora = 32; }).find("--mv_lora"), std::string::npos);
    EXPECT_NE(with(arch, [](ModelSpec& s) { s.gate_lora = 32; }).find("--gate_lora"), std::string::npos);
    EXPECT_NE(with(arch, [](ModelSpec& s) { s.head_size_divisor = -1; }).find("--head_size_divisor"), std::string::npos);
    EXPECT_NE(with(arch, [](ModelSpec& s) { s.old.pre_ffn = true; }).find("--pre_ffn"), std::string::npos);
  }
  EXPECT_NE(with("x052", [](ModelSpec& s) { s.mix_lora = 32; }).find("--mix_lora"), std::string::npos);
  EXPECT_NE(with("x070", [](ModelSpec& s) { s.mix_lora = 32; }).find("--mix_lora"), std::string::npos);
  EXPECT_NE(with("x040", [](ModelSpec& s) { s.time_state = true; }).find("time_state"), std::string::npos);
}

TEST(OldSpec, FilesThatAreRefused) {
  const auto v5 = tensors_of(small("x052"));
  auto no_gate = v5, one_decay = v5;
  std::erase_if(no_gate, [](const TensorInfo& t) { return t.name.ends_with("att.gate.weight"); });
  for (TensorInfo& t : one_decay)
    if (t.name.ends_with("att.time_decay")) t.shape = {4};
  const Family& eagle = family_of("x052");
  EXPECT_EQ(&family_of_file(no_gate, "f.pth"), &eagle);
  EXPECT_SAYS(eagle.spec_from_file({}, no_gate, "f.pth"), "RWKV-5.0");
  EXPECT_SAYS(eagle.spec_from_file({}, one_decay, "f.pth"), "RWKV-5.1");
  for (TensorInfo& t : one_decay)
    if (t.name.ends_with("att.time_decay")) t.shape = {4, 1};
  EXPECT_SAYS(eagle.spec_from_file({}, one_decay, "f.pth"), "RWKV-5.1");

  const auto v6 = tensors_of(small("x060"));
  const Family& finch = family_of("x060");
  ModelSpec given;
  given.arch = "x060b";
  EXPECT_SAYS(finch.spec_from_file(given, v6, "f.pth"), "x060b was given");
  given = {};
  given.mix_lora = 64;
  EXPECT_SAYS(finch.spec_from_file(given, v6, "f.pth"), "blocks.0.att.time_maa_w1 says mix_lora = 32");
  auto odd = v6;
  for (TensorInfo& t : odd)
    if (t.name.ends_with("blocks.0.att.time_maa_w1")) t.shape[1] = 161;
  EXPECT_SAYS(finch.spec_from_file({}, odd, "f.pth"), "161 columns");
  for (const char* name : {"blocks.0.att.time_decay_w1", "blocks.1.att.time_faaaa", "blocks.0.ffn.key.weight"}) {
    auto lacking = v6;
    std::erase_if(lacking, [&](const TensorInfo& t) { return t.name.ends_with(name); });
    EXPECT_SAYS(finch.spec_from_file({}, lacking, "f.pth"), name);
  }
}

TEST(OldSpec, InitialValuesOfOneLayerAreFinite) {
  for (const char* arch : {"x060", "x060a", "x060b", "x052"}) {
    ModelSpec spec = small(arch);
    spec.n_layer = 1;
    const auto model = family_of(arch).make(spec);
    const Param &decay = model->params.at("blocks.0.att.time_decay"), &bonus = model->params.at("blocks.0.att.time_faaaa");
    EXPECT_NEAR(decay.init.formula(0), -6, 1e-12);
    EXPECT_NEAR(decay.init.formula(63), -1, 1e-12);
    EXPECT_NEAR(bonus.init.formula(1), 0.1, 1e-12);
    EXPECT_NEAR(bonus.init.formula(2), -0.1, 1e-12);
    EXPECT_EQ(model->params.at("blocks.0.att.ln_x.weight").init.value, 1);
  }
}

}  // namespace
}  // namespace rk
