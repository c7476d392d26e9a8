// Samples that are read ahead are those of the source, whatever was asked for before.
#include "data/prefetched_source.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/error.h"

namespace rk {
namespace {

constexpr int64_t T = 5;

// Sample n is n, n + 1, ...; counts its calls, may take its time, and fails at 13.
class Counting : public BatchSource {
 public:
  int64_t sample(int64_t number, const SampleRow& row) const override {
    ++calls;
    std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    if (number == 13) fail("sample 13 is broken");
    for (size_t i = 0; i < row.tokens.size(); ++i) {
      row.tokens[i] = static_cast<int32_t>(number) + static_cast<int32_t>(i);
      row.targets[i] = row.tokens[i] + 1;
      row.weights[i] = static_cast<float>(number);
      if (!row.resets.empty()) row.resets[i] = static_cast<uint8_t>(i % 2);
    }
    return 100 * number;
  }
  int64_t n_samples_per_pass() const override { return 50; }

  mutable std::atomic<int> calls{0};
  int pause_ms = 0;
};

struct Row {
  std::vector<int32_t> tokens = std::vector<int32_t>(T), targets = tokens;
  std::vector<float> weights = std::vector<float>(T);
  std::vector<uint8_t> resets = std::vector<uint8_t>(T);
};

void expect_sample(const BatchSource& source, int64_t number) {
  Row row;
  EXPECT_EQ(source.sample(number, {row.tokens, row.targets, row.weights, row.resets}), 100 * number);
  for (size_t i = 0; i < T; ++i) {
    EXPECT_EQ(row.tokens[i], number + static_cast<int64_t>(i));
    EXPECT_EQ(row.targets[i], row.tokens[i] + 1);
    EXPECT_EQ(row.weights[i], static_cast<float>(number));
    EXPECT_EQ(row.resets[i], i % 2);
  }
}

TEST(PrefetchedSource, GivesWhatItsSourceGives) {
  Counting from;
  PrefetchedSource source(from, T, 4);
  EXPECT_EQ(source.n_samples_per_pass(), 50);
  expect_sample(source, 7);  // nobody asked
  for (int64_t step = 0; step < 50; ++step) {
    const std::vector<int64_t> numbers{20 + 3 * step, 21 + 3 * step, 22 + 3 * step};
    source.prefetch(numbers);
    if (step % 3 == 1) expect_sample(source, 1);  // another one meanwhile
    for (const int64_t n : {numbers[2], numbers[0], numbers[1]}) expect_sample(source, n);
  }
}

TEST(PrefetchedSource, ReadsAhead) {
  Counting from;
  from.pause_ms = 5;
  PrefetchedSource source(from, T, 4);
  source.prefetch(std::vector<int64_t>{1, 2, 3, 4});
  while (from.calls < 4) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  for (int64_t n = 1; n <= 4; ++n) expect_sample(source, n);
  EXPECT_EQ(from.calls, 4) << "each was read once";
  source.take_seconds();
  expect_sample(source, 9);
  EXPECT_GE(source.take_seconds(), 0.005) << "this one was not";
}

TEST(PrefetchedSource, ANewRequestForgetsTheLast) {
  Counting from;
  from.pause_ms = 2;
  PrefetchedSource source(from, T, 8);
  for (int64_t round = 1; round <= 20; ++round) {
    source.prefetch(std::vector<int64_t>{20 * round, 20 * round + 1, 20 * round + 2, 20 * round + 3, 20 * round + 4});
    std::this_thread::sleep_for(std::chrono::milliseconds(round % 5));
  }
  for (const int64_t n : {402, 400, 20}) expect_sample(source, n);
}

TEST(PrefetchedSource, ErrorsAreThoseOfTheSampleThatIsTaken) {
  Counting from;
  PrefetchedSource source(from, T, 3);
  source.prefetch(std::vector<int64_t>{12, 13, 14});
  expect_sample(source, 12);
  Row row;
  EXPECT_THROW(source.sample(13, {row.tokens, row.targets, row.weights, row.resets}), Error);
  expect_sample(source, 14);
  source.prefetch(std::vector<int64_t>{13});  // never taken
}

TEST(PrefetchedSource, NobodyHasToWantResets) {
  Counting from;
  PrefetchedSource source(from, T, 1);
  source.prefetch(std::vector<int64_t>{3});
  Row row;
  EXPECT_EQ(source.sample(3, {row.tokens, row.targets, row.weights, {}}), 300);
  EXPECT_EQ(row.tokens[4], 7);
}

}  // namespace
}  // namespace rk
