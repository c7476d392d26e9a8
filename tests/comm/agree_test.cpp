#include "comm/agree.h"

#include <gtest/gtest.h>

#include "comm/worlds.h"

namespace rk {
namespace {

// What agree() throws on this rank, as "code message"; empty for nothing.
std::string outcome(Comm& comm, const std::function<void()>& action) {
  try {
    agree(comm, action);
    return "";
  } catch (const Error& e) {
    return cat(static_cast<int>(e.code()), " ", e.what());
  }
}

TEST(Agree, SuccessEverywhereIsSilent) {
  test::for_each_world([](Comm& comm) {
    int calls = 0;
    EXPECT_EQ(outcome(comm, [&] { ++calls; }), "");
    EXPECT_EQ(calls, 1);
  });
}

TEST(Agree, AnErrorOfAllKeepsItsWords) {
  test::for_each_world([](Comm& comm) { EXPECT_EQ(outcome(comm, [] { fail("no such file"); }), "2 no such file"); });
}

TEST(Agree, TheLowestFailingRankSpeaks) {
  test::for_each_world([](Comm& comm) {
    if (comm.size() < 3) return;
    const auto action = [&] {
      if (comm.rank() == 1) fail("disk of one", ExitCode::failure);
      if (comm.rank() == 2) fail("disk of two is quite another");
    };
    EXPECT_EQ(outcome(comm, action), "1 rank 1: disk of one");
  });
}

TEST(Agree, ForeignExceptionsCount) {
  test::for_each_world([](Comm& comm) {
    const auto action = [&] {
      if (comm.rank() == comm.size() - 1) throw std::runtime_error("out of something");
    };
    const std::string prefix = comm.size() > 1 ? cat("rank ", comm.size() - 1, ": ") : "";
    EXPECT_EQ(outcome(comm, action), cat("1 ", prefix, "out of something"));
  });
}

}  // namespace
}  // namespace rk
