// What only worlds of threads promise: a rank that has ended releases those that wait for it.
#include <gtest/gtest.h>

#include "comm/backends.h"
#include "comm/worlds.h"

namespace rk {
namespace {

std::string thrown_by(int size, const std::function<void(Comm&)>& body) {
  try {
    run_thread_world(size, body);
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

TEST(Threads, TheFirstErrorIsThrownAgain) {
  const auto body = [](Comm& comm) {
    if (comm.rank() == 2) fail("rank 2 is out of paper");
    for (int i = 0; i < 3; ++i) comm.barrier();
  };
  EXPECT_EQ(thrown_by(4, body), "rank 2 is out of paper");
}

TEST(Threads, ADeadRankReleasesItsGroups) {
  const auto body = [](Comm& comm) {
    const auto pair = comm.split(comm.rank() / 2);
    if (comm.rank() == 3) fail("the partner of 2 is gone");
    pair->barrier();
    comm.barrier();
  };
  EXPECT_EQ(thrown_by(4, body), "the partner of 2 is gone");
}

TEST(Threads, ARankThatLeftEarlyIsMissed) {
  const auto body = [](Comm& comm) {
    if (comm.rank() != 1) comm.barrier();
  };
  EXPECT_NE(thrown_by(3, body).find("rank 1 has ended"), std::string::npos);
}

TEST(Threads, DifferentCollectivesAreABug) {
  const auto body = [](Comm& comm) {
    test::Payload x(comm, DType::f32, comm.rank() + 1);
    comm.all_reduce(x.tensor(), Reduce::sum).wait();
  };
  EXPECT_NE(thrown_by(2, body).find("same collectives of equal sizes"), std::string::npos);
}

TEST(Threads, RanksMayRunFarAhead) {
  run_thread_world(3, [](Comm& comm) {
    std::vector<Ticket> tickets;
    std::vector<std::unique_ptr<test::Payload>> x;
    for (int k = 0; k < 100; ++k) {
      x.push_back(std::make_unique<test::Payload>(comm, DType::i64, 1));
      x.back()->fill([&](int64_t) { return k; });
      tickets.push_back(comm.all_reduce(x.back()->tensor(), Reduce::sum));
    }
    for (int k = 0; k < 100; ++k) {
      tickets[static_cast<size_t>(k)].wait();
      EXPECT_EQ(x[static_cast<size_t>(k)]->at(0), 3 * k);
    }
  });
}

}  // namespace
}  // namespace rk
