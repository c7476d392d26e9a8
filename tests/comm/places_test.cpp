#include "comm/places.h"

#include <gtest/gtest.h>

#include "comm/backends.h"
#include "comm/texts.h"
#include "comm/worlds.h"

namespace rk {
namespace {

std::string refusal(const std::function<void()>& action) {
  try {
    action();
    return "";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::bad_input);
    return e.what();
  }
}

TEST(Places, TextsOfAllRanksReachAll) {
  test::for_each_world([](Comm& comm) {
    const auto text = [](int rank) { return std::string(static_cast<size_t>(3 * rank), static_cast<char>('a' + rank)); };
    const std::vector<std::string> all = gather_texts(comm, text(comm.rank()));
    ASSERT_EQ(all.size(), static_cast<size_t>(comm.size()));
    for (int r = 0; r < comm.size(); ++r) EXPECT_EQ(all[static_cast<size_t>(r)], text(r));
  });
}

TEST(Places, NodesAreNumberedByTheirLowestRank) {
  const std::vector<std::string> names{"zebra", "ant", "zebra", "ant", "bee", "bee"};
  const int expected[] = {0, 1, 0, 1, 2, 2};
  for (int r = 0; r < 6; ++r) {
    const NodePlace p = place_among(names, r);
    EXPECT_EQ(p.index, expected[r]);
    EXPECT_EQ(p.n_nodes, 3);
    EXPECT_EQ(p.fewest, 2);
    EXPECT_EQ(p.most, 2);
  }
  EXPECT_EQ(place_among({"a", "b", "a"}, 1).fewest, 1);
  EXPECT_EQ(place_among({"a", "b", "a"}, 1).most, 2);
}

TEST(Places, ThisHostIsOneNode) {
  test::for_each_world([](Comm& comm) {
    const NodePlace p = place_of_node(comm);
    EXPECT_EQ(p.index, 0);
    EXPECT_EQ(p.n_nodes, 1);
    EXPECT_EQ(p.most, comm.size());
  });
}

TEST(Places, EachRankTakesItsGpu) {
  EXPECT_EQ(choose_gpu(2, 4, 4), 2);
  EXPECT_EQ(choose_gpu(1, 2, 8), 1);
  EXPECT_EQ(choose_gpu(3, 4, 1), 0);  // the launcher shows each rank its own
  const std::string why = refusal([] { choose_gpu(0, 4, 2); });
  EXPECT_NE(why.find("4 ranks run on "), std::string::npos) << why;
  EXPECT_NE(why.find("it has 2 usable GPUs"), std::string::npos) << why;
}

TEST(Places, NoTwoRanksShareAGpu) {
  test::for_each_world([](Comm& comm) {
    const auto digits = [](int i) { return cat("00112233445566778899aabbccddee0", i); };
    check_gpus_differ(comm, digits(comm.rank()));
    if (comm.size() < 2) return;
    const std::string why = refusal([&] { check_gpus_differ(comm, digits(comm.rank() == comm.size() - 1 ? 0 : comm.rank())); });
    EXPECT_NE(why.find(cat("ranks 0 and ", comm.size() - 1, " on ")), std::string::npos) << why;
    EXPECT_NE(why.find("GPU-00112233-4455-6677-8899-aabbccddee00"), std::string::npos) << why;
  });
}

}  // namespace
}  // namespace rk
