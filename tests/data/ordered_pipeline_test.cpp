#include "data/ordered_pipeline.h"

#include <gtest/gtest.h>

#include <atomic>

#include "base/error.h"

namespace rk {
namespace {

struct Number {
  int value = 0, square = 0;
};

struct Trial {
  int n_items = 1000, n_workers = 4, bad_item = -1, bad_production = -1;
  std::vector<int> consumed;
  std::atomic<int> under_way = 0, most_under_way = 0;

  void operator()() {
    int next = 0;
    OrderedStages<Number> stages;
    stages.produce = [&](Number& n) {
      if (next == bad_production) fail("production");
      if (next == n_items) return false;
      n.value = next++;
      const int now = ++under_way;
      if (now > most_under_way) most_under_way = now;
      return true;
    };
    stages.work = [&](Number& n) {
      if (n.value % 7 == 0) std::this_thread::yield();
      if (bad_item >= 0 && n.value >= bad_item) fail(cat("item ", n.value));
      n.square = n.value * n.value;
    };
    stages.consume = [&](Number& n) {
      --under_way;
      consumed.push_back(n.square);
    };
    stages.n_bytes = [](const Number&) { return size_t{1}; };
    OrderedPipeline<Number>(stages, n_workers, 10).run();
  }
};

TEST(OrderedPipeline, KeepsTheOrderAndTheBound) {
  for (int workers : {1, 2, 5}) {
    Trial run;
    run.n_workers = workers;
    run();
    ASSERT_EQ(run.consumed.size(), 1000u);
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(run.consumed[static_cast<size_t>(i)], i * i);
    EXPECT_LE(run.most_under_way, 11);
  }
}

TEST(OrderedPipeline, NothingToDo) {
  Trial run;
  run.n_items = 0;
  run();
  EXPECT_TRUE(run.consumed.empty());
}

TEST(OrderedPipeline, TheFirstErrorInOrderIsReported) {
  for (int repeat = 0; repeat < 50; ++repeat) {
    Trial run;
    run.bad_item = 30;
    run.bad_production = 33;
    try {
      run();
      FAIL();
    } catch (const Error& e) {
      EXPECT_STREQ(e.what(), "item 30");
    }
    EXPECT_EQ(run.consumed.size(), 30u);
  }
}

TEST(OrderedPipeline, ErrorsOfProductionComeAfterWhatWasProduced) {
  Trial run;
  run.bad_production = 20;
  EXPECT_THROW(run(), Error);
  EXPECT_EQ(run.consumed.size(), 20u);
}

}  // namespace
}  // namespace rk
