// Token choice, resized tensors, and generation: the same text whatever the segments.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "base/rng.h"
#include "io/tensor_file.h"
#include "model/families.h"
#include "params/init.h"
#include "support/model_runner.h"
#include "train/generator.h"
#include "train/resized.h"
#include "train/token_choice.h"

namespace rk {
namespace {

TEST(TokenChoice, TemperatureZeroTakesTheMostProbable) {
  const std::vector<double> logits = {0.5, 2, 2, -1};
  for (double u : {0.0, 0.5, 0.999}) EXPECT_EQ(choose_token(logits, {.temperature = 0}, u), 1) << "the lower of two equal ones";
  EXPECT_EQ(choose_token(logits, {.top_k = 1}, 0.999), 1);
  EXPECT_EQ(choose_token(logits, {.top_p = 0}, 0.999), 1);
}

// How often each id comes over many evenly spread draws.
std::vector<double> shares(const std::vector<double>& logits, const TokenChoice& rule) {
  constexpr int n = 20000;
  std::vector<double> counts(logits.size());
  for (int i = 0; i < n; ++i) counts[static_cast<size_t>(choose_token(logits, rule, (i + 0.5) / n))] += 1.0 / n;
  return counts;
}

TEST(TokenChoice, DrawsByProbability) {
  const std::vector<double> p = {0.1, 0.4, 0.2, 0.3};
  std::vector<double> logits;
  for (double x : p) logits.push_back(std::log(x) + 7);
  const auto expect = [&](const TokenChoice& rule, const std::vector<double>& expected) {
    const auto got = shares(logits, rule);
    for (size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-3) << i;
  };
  expect({}, p);
  expect({.top_k = 2}, {0, 4.0 / 7, 0, 3.0 / 7});
  expect({.top_p = 0.6}, {0, 4.0 / 7, 0, 3.0 / 7});
  expect({.top_p = 0.75}, {0, 4.0 / 9, 2.0 / 9, 3.0 / 9});
  expect({.temperature = 0.5}, {0.01 / 0.3, 0.16 / 0.3, 0.04 / 0.3, 0.09 / 0.3});
  expect({.temperature = 0.5, .top_k = 2}, {0, 0.16 / 0.25, 0, 0.09 / 0.25});
}

TEST(ResizedRows, LieBetweenRows) {
  const auto expect = [](int64_t rows, int64_t n, const std::vector<double>& positions) {
    for (int64_t i = 0; i < rows; ++i) {
      const SourceRows from = source_rows(i, rows, n);
      EXPECT_EQ(static_cast<double>(from.low) + from.weight, positions[static_cast<size_t>(i)]) << i << " of " << rows << ", from " << n;
      EXPECT_TRUE(from.weight == 0 || from.low + 1 < n);
    }
  };
  expect(4, 4, {0, 1, 2, 3});
  expect(2, 4, {0, 2});
  expect(8, 4, {0, 0.5, 1, 1.5, 2, 2.5, 3, 3});
  expect(3, 1, {0, 0, 0});
}

// A small model with values that are not the fresh ones, whose outputs would be zero.
std::string make_model(const std::string& arch = "x070", bool time_state = false) {
  ModelSpec spec;
  spec.arch = arch;
  spec.time_state = time_state;
  spec.n_layer = 2;
  spec.n_embd = 32;
  spec.head_size = 16;
  spec.vocab_size = 50;
  const Family& family = family_of(arch);
  const auto model = family.make(family.spec_for_new(spec));
  std::vector<TensorInfo> infos;
  for (const Param& p : model->params.all()) {
    TensorInfo info;
    info.name = p.name;
    info.shape.assign(p.shape.size.begin(), p.shape.size.begin() + p.shape.rank);
    infos.push_back(info);
  }
  const std::string path = ::testing::TempDir() + "rookery_generate_test.pth";
  const auto writer = create_tensor_file(path, infos, {{"tokenizer", "bytes"}});
  for (const Param& p : model->params.all()) {
    const Random random(5, stream_of(p.name.c_str()));
    std::vector<float> x;
    for (int64_t i = 0; i < p.numel(); ++i) x.push_back(static_cast<float>(0.3 * random.normal(static_cast<uint64_t>(i))));
    writer->write(x.data(), x.size() * sizeof(float));
  }
  writer->finish();
  return path;
}

std::vector<int32_t> some_tokens(int32_t n) {
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < n; ++i) tokens.push_back((i * i + 7) % 50);
  return tokens;
}

class OfFamily : public testing::TestWithParam<std::pair<const char*, bool>> {};  // architecture, whether texts begin from a trained state
INSTANTIATE_TEST_SUITE_P(Families, OfFamily,
                         testing::Values(std::pair{"x070", false}, std::pair{"x070", true}, std::pair{"x060", true},
                                         std::pair{"x052", true}, std::pair{"x040", false}));

TEST_P(OfFamily, SegmentsOfAPromptDoNotMatter) {
  const std::string path = make_model(GetParam().first, GetParam().second);
  const std::vector<int32_t> tokens = some_tokens(600);
  Generator at_once(path, DType::f64, {.threads = 2}), one_by_one(path, DType::f64, {.threads = 1});
  const auto a = at_once.feed(tokens);
  std::span<const double> b;
  for (const int32_t& token : tokens) b = one_by_one.feed({&token, 1});
  ASSERT_EQ(a.size(), 50u);
  double spread = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_NEAR(a[i], b[i], 1e-11);
    spread += std::abs(a[i] - a[0]);
  }
  EXPECT_GT(spread, 0.1) << "the logits say something";
  EXPECT_EQ(at_once.metadata().at("tokenizer"), "bytes");
  std::remove(path.c_str());
}

// Before the first text and after forget(), as in training.
TEST_P(OfFamily, TextsBeginAsTheModelSays) {
  const std::string path = make_model(GetParam().first, GetParam().second);
  const std::vector<int32_t> tokens = some_tokens(20);
  const auto tensors = open_tensor_file(path)->tensors();
  const Family& family = family_of_file(tensors, path);
  ModelSpec spec = family.spec_from_file({}, tensors, path);
  EXPECT_EQ(spec.time_state, GetParam().second);
  spec.dtype = DType::f64;
  test::ModelRunner runner(family.make(spec));
  runner.load(path);
  test::RunInput in;
  in.T = 20;
  in.tokens = tokens;
  const std::vector<double> logits = runner.forward(in).logits;
  Generator generator(path, DType::f64, {.threads = 1});
  for (int text = 0; text < 2; ++text) {
    const auto last = generator.feed(tokens);
    for (size_t i = 0; i < last.size(); ++i) EXPECT_NEAR(last[i], logits[19 * 50 + i], 1e-11) << text;
    generator.forget();
  }
  std::remove(path.c_str());
}

TEST(Generator, RefusesTokensThatTheModelDoesNotHave) {
  const std::string path = make_model();
  Generator model(path, DType::f32, {.threads = 1});
  for (const int32_t token : {-1, 50}) EXPECT_THROW(model.feed({&token, 1}), Error);
  std::remove(path.c_str());
}

}  // namespace
}  // namespace rk
