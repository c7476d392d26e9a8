// Sizes of RWKV-4 models and old parts, from files and for new ones.
#include <gtest/gtest.h>

#include "model/families.h"
#include "model/file_tensors.h"

namespace rk {
namespace {

const Family& rwkv4() { return family_of("x040"); }

ModelSpec small() {
  ModelSpec s;
  s.n_layer = 3;
  s.n_embd = 32;
  s.dim_att = 64;
  s.vocab_size = 11;
  return rwkv4().spec_for_new(s);
}

ModelSpec with_all_parts() {
  ModelSpec s = small();
  s.old = {.head_qk = 5, .tiny_att_dim = 6, .tiny_att_layer = 2, .pos_emb = 4, .pre_ffn = true, .ctx_len = 15};
  return s;
}

std::vector<TensorInfo> tensors_of(const ModelSpec& spec) {
  std::vector<TensorInfo> infos;
  const auto model = family_of(spec.arch).make(spec);
  for (const FileTensor& t : file_tensors(*model)) infos.push_back(t.info(DType::f32));
  return infos;
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

void expect_says(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks: " << part;
}

TEST(Rwkv4Spec, DefaultsOfNewModels) {
  ModelSpec given;
  given.vocab_size = 50277;
  given.head_size = 64;  // which old commands give whatever the model
  const ModelSpec s = rwkv4().spec_for_new(given);
  EXPECT_EQ(s.arch, "x040");
  EXPECT_EQ(s.dim_att, 512);
  EXPECT_EQ(s.dim_ffn, 2048);
  EXPECT_EQ(s.head_size, 0);
  EXPECT_EQ(s.emb_init, 6e-4);
  EXPECT_EQ(&family_of("rwkv4"), &rwkv4());
}

TEST(Rwkv4Spec, NewModelsThatAreRefused) {
  const auto with = [](auto change) {
    ModelSpec s = small();
    change(s);
    return refusal([&] { rwkv4().spec_for_new(s); });
  };
  expect_says(with([](ModelSpec& s) { s.vocab_size = 0; }), {"--vocab_size"});
  expect_says(with([](ModelSpec& s) { s.n_layer = -2; }), {"--n_layer -2"});
  expect_says(with([](ModelSpec& s) { s.n_embd = 100; }), {"--n_embd 100", "try 128"});
  expect_says(with([](ModelSpec& s) { s.dim_att = 48; }), {"--dim_att 48", "try 64"});
  expect_says(with([](ModelSpec& s) { s.dim_ffn = 33; }), {"--dim_ffn 33", "try 64"});
  expect_says(with([](ModelSpec& s) { s.old.head_qk = -1; }), {"--head_qk -1"});
  expect_says(with([](ModelSpec& s) { s.old.pos_emb = 1; }), {"--my_pos_emb 1"});
  expect_says(with([](ModelSpec& s) { s.old = {.tiny_att_dim = 8, .tiny_att_layer = 3}; }), {"--tiny_att_layer 3", "3 layers", "0 to 2"});
  EXPECT_NO_THROW(rwkv4().spec_for_new(with_all_parts()));
}

TEST(Rwkv4Spec, FromFile) {
  for (const ModelSpec& made : {small(), with_all_parts()}) {
    auto tensors = tensors_of(made);
    for (TensorInfo& t : tensors) t.name = "model." + t.name;
    EXPECT_EQ(&family_of_file(tensors, "f.pth"), &rwkv4());
    const ModelSpec s = rwkv4().spec_from_file({}, tensors, "f.pth");
    EXPECT_EQ(s.n_layer, 3);
    EXPECT_EQ(s.n_embd, 32);
    EXPECT_EQ(s.dim_att, 64);
    EXPECT_EQ(s.dim_ffn, 128);
    EXPECT_EQ(s.vocab_size, 11);
    EXPECT_EQ(s.old, made.old);
    ModelSpec run;
    run.old.ctx_len = 100;  // of a run's options: its files have masks of that size
    EXPECT_EQ(rwkv4().spec_from_file(run, tensors, "f.pth").old.ctx_len, 100);
  }
}

TEST(Rwkv4Spec, FilesOfOneBlockWithoutTimeMix) {
  ModelSpec made = small();
  made.n_layer = 1;
  made.dim_att = 32;
  made.old.pre_ffn = true;
  const auto tensors = tensors_of(made);
  EXPECT_EQ(&family_of_file(tensors, "f.pth"), &rwkv4());
  EXPECT_TRUE(rwkv4().spec_from_file({}, tensors, "f.pth").old.pre_ffn);
}

TEST(Rwkv4Spec, ContradictionsAreNamed) {
  const auto tensors = tensors_of(with_all_parts());
  const auto with = [&](auto change) {
    ModelSpec given;
    change(given);
    return refusal([&] { rwkv4().spec_from_file(given, tensors, "f.pth"); });
  };
  expect_says(with([](ModelSpec& s) { s.n_layer = 4; }), {"f.pth", "blocks.2.*", "n_layer = 3", "--n_layer 4"});
  expect_says(with([](ModelSpec& s) { s.n_embd = 64; }), {"emb.weight", "n_embd = 32", "--n_embd 64"});
  expect_says(with([](ModelSpec& s) { s.dim_att = 32; }), {"blocks.1.att.key.weight", "dim_att = 64", "--dim_att 32"});
  expect_says(with([](ModelSpec& s) { s.dim_ffn = 32; }), {"blocks.0.ffn.key.weight", "dim_ffn = 128", "--dim_ffn 32"});
  expect_says(with([](ModelSpec& s) { s.old.head_qk = 6; }), {"head_q.weight", "head_qk = 5", "--head_qk 6"});
  expect_says(with([](ModelSpec& s) { s.old = {.tiny_att_dim = 7, .tiny_att_layer = 2}; }),
              {"blocks.2.tiny_q.weight", "tiny_att_dim = 6", "--tiny_att_dim 7"});
  expect_says(with([](ModelSpec& s) { s.old = {.tiny_att_dim = 6, .tiny_att_layer = 1}; }), {"tiny_att_layer = 2", "--tiny_att_layer 1"});
  expect_says(with([](ModelSpec& s) { s.old.pos_emb = 5; }), {"blocks.0.pos_emb_x", "my_pos_emb = 4", "--my_pos_emb 5"});
  const auto plain = tensors_of(small());
  for (const auto& [flag, parts] : {std::pair{"--head_qk", OldParts{.head_qk = 5}},
                                    {"--tiny_att_dim", {.tiny_att_dim = 6}},
                                    {"--my_pos_emb", {.pos_emb = 4}},
                                    {"--pre_ffn", {.pre_ffn = true}}}) {
    ModelSpec given;
    given.old = parts;
    expect_says(refusal([&] { rwkv4().spec_from_file(given, plain, "f.pth"); }), {"f.pth: has no tensor", flag});
  }
}

TEST(Rwkv4Spec, FilesThatAreRefused) {
  const auto without = [](const std::string& name) {
    auto tensors = tensors_of(small());
    std::erase_if(tensors, [&](const TensorInfo& t) { return t.name == name; });
    return refusal([&] { rwkv4().spec_from_file({}, tensors, "f.pth"); });
  };
  for (const char* name : {"emb.weight", "blocks.0.att.key.weight", "blocks.2.att.key.weight", "blocks.0.ffn.key.weight"})
    expect_says(without(name), {"f.pth", name});
}

TEST(OldPartsOfFamilies, RulesOutWhatTheyCannot) {
  ModelSpec s = small();
  const auto made = [&] { return rwkv4().make(s); };
  EXPECT_EQ(made()->why_no_segments, "");
  s.old = {.head_qk = 4};
  expect_says(made()->why_no_segments, {"head_qk looks at all earlier tokens"});
  s.old = {.head_qk = 4, .tiny_att_dim = 4};
  expect_says(made()->why_no_segments, {"head_qk and tiny_att"});
  EXPECT_TRUE(made()->shares);
  s.old = {.pos_emb = 4};
  expect_says(made()->why_no_segments, {"my_pos_emb"});
  EXPECT_EQ(made()->only_length, 15);
  s.old = {.pre_ffn = true};
  EXPECT_EQ(made()->why_no_segments, "");
  ModelSpec other;
  other.vocab_size = 10;
  other.old.head_qk = 4;
  expect_says(refusal([&] { family_of("x070").spec_for_new(other); }), {"--head_qk", "RWKV-7"});
  for (const char* arch : {"x052", "x060"}) {
    other.arch = arch;
    other.old = {.head_qk = 4, .tiny_att_dim = 4, .pos_emb = 4};
    EXPECT_NO_THROW(family_of(arch).make(family_of(arch).spec_for_new(other)));
    other.old = {.pre_ffn = true};
    expect_says(refusal([&] { family_of(arch).spec_for_new(other); }), {"--pre_ffn"});
  }
}

// Formats before 5.2 are told from RWKV-4 and 5.2 and refused by name.
TEST(PreviewFiles, AreRefused) {
  ModelSpec s;
  s.arch = "x052";
  s.n_layer = 2;
  s.n_embd = 64;
  s.vocab_size = 11;
  const Family& rwkv5 = family_of("x052");
  const auto tensors = tensors_of(rwkv5.spec_for_new(s));
  const auto read = [&](const std::vector<TensorInfo>& file) {
    const Family& family = family_of_file(file, "f.pth");
    return refusal([&] { family.spec_from_file({}, file, "f.pth"); });
  };
  auto without_gate = tensors, one_decay = tensors;
  std::erase_if(without_gate, [](const TensorInfo& t) { return t.name.find("gate") != std::string::npos; });
  for (TensorInfo& t : one_decay)
    if (t.name.ends_with("time_decay")) t.shape = {1};
  expect_says(read(without_gate), {"f.pth", "5.0"});
  expect_says(read(one_decay), {"f.pth", "5.1"});
}

TEST(Rwkv4Model, OneLayerHasFiniteValues) {
  ModelSpec s = small();
  s.n_layer = 1;
  const auto model = rwkv4().make(s);
  EXPECT_EQ(model->params.at("blocks.0.att.time_mix_v").init.formula(31), 31.0 / 32);
  EXPECT_EQ(model->params.at("blocks.0.att.time_decay").init.formula(63), 3);
  EXPECT_EQ(model->params.at("blocks.0.att.time_decay").init.formula(0), -5);
}

TEST(Rwkv4Model, StatesFollowTheBlocks) {
  const auto model = rwkv4().make(with_all_parts());
  const auto first = model->units[1]->state_specs(2), second = model->units[2]->state_specs(2);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_STREQ(first[1].name, "ffn_shift");
  ASSERT_EQ(second.size(), 3u);
  EXPECT_EQ(second[1].shape, (Shape{2, 64, 3}));
}

TEST(DerivedTensors, StandWhereUpstreamHasThem) {
  const auto model = rwkv4().make(with_all_parts());
  const auto tensors = file_tensors(*model);
  ASSERT_EQ(tensors[0].info(DType::bf16).name, "copy_mask");
  EXPECT_EQ(tensors[0].info(DType::bf16).shape, (std::vector<int64_t>{15, 15}));
  const auto mask =
      std::find_if(tensors.begin(), tensors.end(), [](const FileTensor& t) { return t.derived && t.derived->name != "copy_mask"; });
  ASSERT_NE(mask, tensors.end());
  EXPECT_EQ(mask->derived->name, "blocks.2.tiny_mask");
  EXPECT_EQ((mask + 1)->param->name, "blocks.2.ln1.weight");
  std::vector<float> part(20);
  put_derived(*tensors[0].derived, 15, {part.data(), {20}, DType::f32, Device::cpu});
  EXPECT_EQ(part, (std::vector<float>{1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0}));
}

}  // namespace
}  // namespace rk
