#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <memory>

#include "comm/backends.h"
#include "comm/worlds.h"

namespace rk {
namespace {

using test::expect_values;
using test::for_each_world;
using test::Payload;

// NCCL sums f16, too.
std::vector<DType> summable(const Comm& comm) {
  std::vector<DType> types{DType::f64, DType::f32, DType::bf16, DType::i64, DType::i32};
  if (test::gpu_of(comm)) types.push_back(DType::f16);
  return types;
}

std::vector<DType> movable(const Comm& comm) {
  std::vector<DType> types = summable(comm);
  types.push_back(DType::u8);
  return types;
}

// Zero, one, odd sizes, sizes below and above the limit where an all_reduce changes its way (16 KiB; NCCL has limits of its own).
std::vector<int64_t> counts(const Comm& comm) {
  std::vector<int64_t> n{0, 1, 7, 65, 1000, 20001};
  if (test::gpu_of(comm)) n.push_back(300001);
  return n;
}

std::string label(const Comm& comm, const char* what, DType dtype, int64_t n) {
  return cat(what, " on ", comm.backend(), " rank ", comm.rank(), "/", comm.size(), " ", name_of(dtype), " n=", n);
}

// What rank r contributes at i: small enough for sums of five ranks to be exact in bf16.
int64_t value(int rank, int64_t i) { return (i * 7 + rank * 3) % 11 - 5; }

int64_t sum_over_ranks(int size, int64_t i) {
  int64_t sum = 0;
  for (int r = 0; r < size; ++r) sum += value(r, i);
  return sum;
}

int64_t max_over_ranks(int size, int64_t i) {
  int64_t m = value(0, i);
  for (int r = 1; r < size; ++r) m = std::max(m, value(r, i));
  return m;
}

TEST(Collectives, AllReduce) {
  for_each_world([](Comm& comm) {
    for (DType dtype : summable(comm))
      for (int64_t n : counts(comm)) {
        Payload x(comm, dtype, n);
        x.fill([&](int64_t i) { return value(comm.rank(), i); });
        comm.all_reduce(x.tensor(), Reduce::sum).wait();
        expect_values(
            x, n, [&](int64_t i) { return sum_over_ranks(comm.size(), i); }, label(comm, "sum", dtype, n));
        x.fill([&](int64_t i) { return value(comm.rank(), i); });
        comm.all_reduce(x.tensor(), Reduce::max).wait();
        expect_values(
            x, n, [&](int64_t i) { return max_over_ranks(comm.size(), i); }, label(comm, "max", dtype, n));
      }
  });
}

TEST(Collectives, ReduceScatter) {
  for_each_world([](Comm& comm) {
    for (DType dtype : summable(comm))
      for (int64_t n : counts(comm)) {
        Payload in(comm, dtype, n * comm.size()), out(comm, dtype, n);
        in.fill([&](int64_t i) { return value(comm.rank(), i); });
        comm.reduce_scatter(in.tensor(), out.tensor()).wait();
        const auto expected = [&](int64_t i) { return sum_over_ranks(comm.size(), comm.rank() * n + i); };
        expect_values(out, n, expected, label(comm, "reduce_scatter", dtype, n));
        expect_values(
            in, n * comm.size(), [&](int64_t i) { return value(comm.rank(), i); }, label(comm, "its input", dtype, n));
      }
  });
}

TEST(Collectives, ReduceScatterInPlaceLeavesTheRestAlone) {
  for_each_world([](Comm& comm) {
    for (DType dtype : summable(comm))
      for (int64_t n : counts(comm)) {
        Payload in(comm, dtype, n * comm.size());
        in.fill([&](int64_t i) { return value(comm.rank(), i); });
        comm.reduce_scatter(in.tensor(), in.slice(comm.rank() * n, n)).wait();
        const auto expected = [&](int64_t i) {
          return n > 0 && i / n == comm.rank() ? sum_over_ranks(comm.size(), i) : value(comm.rank(), i);
        };
        expect_values(in, n * comm.size(), expected, label(comm, "reduce_scatter in place", dtype, n));
      }
  });
}

TEST(Collectives, AllGather) {
  for_each_world([](Comm& comm) {
    for (DType dtype : movable(comm))
      for (int64_t n : counts(comm)) {
        const auto mine = [](int rank, int64_t i) { return (i + 13 * rank) % 101; };
        const auto expected = [&](int64_t i) { return mine(static_cast<int>(i / n), i % n); };
        Payload in(comm, dtype, n), out(comm, dtype, n * comm.size());
        in.fill([&](int64_t i) { return mine(comm.rank(), i); });
        comm.all_gather(in.tensor(), out.tensor()).wait();
        expect_values(out, n * comm.size(), expected, label(comm, "all_gather", dtype, n));

        Payload whole(comm, dtype, n * comm.size());
        whole.fill([&](int64_t i) { return n > 0 && i / n == comm.rank() ? mine(comm.rank(), i % n) : 0; });
        comm.all_gather(whole.slice(comm.rank() * n, n), whole.tensor()).wait();
        expect_values(whole, n * comm.size(), expected, label(comm, "all_gather in place", dtype, n));
      }
  });
}

TEST(Collectives, AllToAll) {
  for_each_world([](Comm& comm) {
    for (DType dtype : movable(comm))
      for (int64_t n : counts(comm)) {
        const auto sent = [&](int from, int to, int64_t i) { return (i + 13 * from + 29 * to) % 101; };
        Payload in(comm, dtype, n * comm.size()), out(comm, dtype, n * comm.size());
        in.fill([&](int64_t i) { return sent(comm.rank(), static_cast<int>(i / n), i % n); });
        comm.all_to_all(in.tensor(), out.tensor()).wait();
        const auto expected = [&](int64_t i) { return sent(static_cast<int>(i / n), comm.rank(), i % n); };
        expect_values(out, n * comm.size(), expected, label(comm, "all_to_all", dtype, n));
      }
  });
}

TEST(Collectives, Broadcast) {
  for_each_world([](Comm& comm) {
    for (DType dtype : movable(comm))
      for (int root = 0; root < comm.size(); ++root) {
        for (int64_t n : {0, 1000, 20001}) {
          Payload x(comm, dtype, n);
          x.fill([&](int64_t i) { return (i + comm.rank()) % 97; });
          comm.broadcast(x.tensor(), root).wait();
          expect_values(
              x, n, [&](int64_t i) { return (i + root) % 97; }, label(comm, "broadcast", dtype, n));
        }
      }
  });
}

// Sums run from rank 0 upwards: with 1e8 first, the ones that follow are lost one by one in fp32; in another order they are not.
TEST(Collectives, SumsRunInRankOrder) {
  for_each_world([](Comm& comm) {
    for (int64_t n : {int64_t{3}, int64_t{30000}}) {
      std::vector<float> x(static_cast<size_t>(n), comm.rank() == 0 ? 1e8f : 1.f);
      Tensor t;
      t.data = x.data();
      t.shape = {n};
      comm.all_reduce(t, Reduce::sum).wait();
      EXPECT_EQ(x.front(), 1e8f);
      EXPECT_EQ(x.back(), 1e8f);
    }
  });
}

// 256 + 1 is a tie in bf16 and rounds to 256; two ones added in fp32 first do count. NCCL rounds from rank to rank.
TEST(Collectives, Bf16IsSummedInFp32) {
  for_each_world([](Comm& comm) {
    if (comm.size() < 3 || test::gpu_of(comm)) return;
    Payload x(comm, DType::bf16, 5);
    x.fill([&](int64_t) { return comm.rank() == 0 ? 256 : comm.rank() < 3 ? 1 : 0; });
    comm.all_reduce(x.tensor(), Reduce::sum).wait();
    expect_values(
        x, 5, [](int64_t) { return 258; }, "bf16 sum");
  });
}

TEST(Collectives, AMaximumKeepsNaN) {
  for_each_world([](Comm& comm) {
    double x[2] = {comm.rank() == comm.size() - 1 ? std::numeric_limits<double>::quiet_NaN() : 1.0,
                   comm.rank() == 0 ? std::numeric_limits<double>::quiet_NaN() : 1.0};
    Tensor t;
    t.data = x;
    t.shape = {2};
    t.dtype = DType::f64;
    comm.all_reduce(t, Reduce::max).wait();
    EXPECT_TRUE(std::isnan(x[0]));
    EXPECT_TRUE(std::isnan(x[1]));
  });
}

// Many in flight, of both sizes of all_reduce, waited for in another order on every rank.
TEST(Collectives, WaitsComeInAnyOrder) {
  for_each_world([](Comm& comm) {
    constexpr int kInFlight = 80;
    for (int round = 0; round < 3; ++round) {
      std::vector<std::unique_ptr<Payload>> x;
      std::vector<Ticket> tickets;
      for (int k = 0; k < kInFlight; ++k) {
        x.push_back(std::make_unique<Payload>(comm, DType::f32, k % 2 ? 10 : 9000));
        x.back()->fill([&](int64_t i) { return value(comm.rank() + k, i); });
        tickets.push_back(comm.all_reduce(x.back()->tensor(), Reduce::sum));
      }
      for (int k = 0; k < kInFlight; ++k) {
        const int pick = comm.rank() % 2 ? k : kInFlight - 1 - k;
        tickets[static_cast<size_t>(pick)].wait();
        tickets[static_cast<size_t>(pick)].wait();  // a second wait returns at once
        const auto expected = [&](int64_t i) {
          int64_t sum = 0;
          for (int r = 0; r < comm.size(); ++r) sum += value(r + pick, i);
          return sum;
        };
        expect_values(*x[static_cast<size_t>(pick)], pick % 2 ? 10 : 9000, expected, cat("collective ", pick));
      }
    }
  });
}

TEST(Collectives, BarrierHoldsEveryoneBack) {
  if (under_mpi()) return;  // needs memory in common
  std::atomic<int> arrived{0};
  run_thread_world(4, [&](Comm& comm) {
    for (int round = 1; round <= 50; ++round) {
      ++arrived;
      comm.barrier();
      EXPECT_GE(arrived, 4 * round);
      comm.barrier();
    }
  });
}

TEST(Collectives, SplitMakesGroupsInRankOrder) {
  for_each_world([](Comm& comm) {
    const int color = comm.rank() % 2;
    const auto group = comm.split(color);
    EXPECT_EQ(group->size(), (comm.size() + 1 - color) / 2);
    EXPECT_EQ(group->rank(), comm.rank() / 2);
    EXPECT_STREQ(group->backend(), comm.backend());
    Payload x(comm, DType::i64, 4);
    x.fill([&](int64_t) { return comm.rank(); });
    Payload all(comm, DType::i64, 4 * group->size());
    group->all_gather(x.tensor(), all.tensor()).wait();
    expect_values(
        all, 4 * group->size(), [&](int64_t i) { return 2 * (i / 4) + color; }, "members of the group");
    group->barrier();
  });
}

// Rank 0 waits for the group's collective first, the others for the world's: neither may hold up the other.
TEST(Collectives, GroupsAndWorldMoveTogether) {
  for_each_world([](Comm& comm) {
    const auto group = comm.split(0);
    for (int round = 0; round < 20; ++round) {
      Payload a(comm, DType::f32, 9000), b(comm, DType::f32, 9000);
      a.fill([&](int64_t i) { return value(comm.rank(), i); });
      b.fill([&](int64_t i) { return value(comm.rank() + 1, i); });
      Ticket in_world = comm.all_reduce(a.tensor(), Reduce::sum);
      Ticket in_group = group->all_reduce(b.tensor(), Reduce::sum);
      if (comm.rank() == 0) {
        in_group.wait();
        in_world.wait();
      } else {
        in_world.wait();
        in_group.wait();
      }
      expect_values(
          a, 9000, [&](int64_t i) { return sum_over_ranks(comm.size(), i); }, "world");
    }
  });
}

TEST(Collectives, EveryoneIsOnThisHost) {
  for_each_world([](Comm& comm) {
    EXPECT_EQ(local_rank(comm), comm.rank());
    EXPECT_EQ(local_size(comm), comm.size());
  });
}

}  // namespace
}  // namespace rk
