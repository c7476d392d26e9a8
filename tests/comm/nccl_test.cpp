// What only communicators of GPUs promise: order on streams, and words about what is under way. Nothing happens where there is no GPU.
#ifdef ROOKERY_NCCL
#include <gtest/gtest.h>

#include "comm/nccl/nccl_comm.h"
#include "comm/worlds.h"
#include "device/exec.h"

namespace rk {
namespace {

using test::Payload;

// Calls body(comm, gpu) in every world over NCCL.
void for_each_gpu_world(const std::function<void(Comm&, Gpu&)>& body) {
  test::for_each_world([&](Comm& comm) {
    if (Gpu* gpu = test::gpu_of(comm)) body(comm, *gpu);
  });
}

std::string words_of(const Progress& p) {
  char text[256];
  return {text, p.describe(text, sizeof text)};
}

std::string words_of(const Comm& comm) {
  char text[512];
  return {text, comm.pending()->describe(text, sizeof text)};
}

// Copies before and after it on other streams, chained by tickets alone.
TEST(Nccl, AnotherStreamMayWaitForATicket) {
  for_each_gpu_world([](Comm& comm, Gpu& gpu) {
    constexpr int64_t n = 200001;
    const GpuStream other(gpu);
    Buffer pinned(Device::pinned, n * sizeof(int64_t));
    const Tensor on_host = pinned.tensor(DType::i64, {n});
    Payload x(comm, DType::i64, n);
    x.fill([&](int64_t i) { return i + comm.rank(); });
    const Ticket ticket = comm.all_reduce(x.tensor(), Reduce::sum);
    ticket.wait_on(other.stream());
    queue_copy(other.stream(), x.tensor(), on_host);
    other.synchronize();
    for (int64_t i : {int64_t{0}, n / 2, n - 1}) EXPECT_EQ(on_host.as<int64_t>()[i], i * comm.size() + comm.size() * (comm.size() - 1) / 2);
  });
}

// One collective's result is the next one's input, without a wait of the host.
TEST(Nccl, CollectivesOfTwinsAreChainedByTickets) {
  for_each_gpu_world([](Comm& comm, Gpu&) {
    const auto twin = comm.twin("chain");
    Payload x(comm, DType::f64, 5000);
    x.fill([](int64_t) { return 1; });
    double expected = 1;
    for (int i = 0; i < 10; ++i) {
      (i % 2 ? *twin : comm).all_reduce(x.tensor(), Reduce::sum).wait();
      expected *= comm.size();
    }
    test::expect_values(
        x, 5000, [&](int64_t) { return static_cast<int64_t>(expected); }, "chain of sums");
  });
}

TEST(Nccl, TensorsOfTheHostStayThere) {
  for_each_gpu_world([](Comm& comm, Gpu&) {
    int64_t x = comm.rank();
    Ticket ticket = comm.all_reduce({&x, {1}, DType::i64, Device::cpu}, Reduce::max);
    ticket.wait();
    EXPECT_EQ(x, comm.size() - 1);
    comm.barrier();
  });
}

TEST(Nccl, NothingIsUnderWayWhenAllHasEnded) {
  for_each_gpu_world([](Comm& comm, Gpu& gpu) {
    Payload x(comm, DType::f32, 1000);
    x.fill([](int64_t) { return 1; });
    comm.all_reduce(x.tensor(), Reduce::sum).wait();
    gpu.synchronize();
    EXPECT_EQ(words_of(comm), "");
  });
}

TEST(Nccl, GivenUpCommunicatorsLeaveQuietly) {
  for_each_gpu_world([](Comm& comm, Gpu& gpu) {
    const auto own = make_gpu_comm(comm.host().split(0), gpu, kMaxNcclElements);
    const auto twin = own->twin("a twin");
    own->give_up();
    EXPECT_EQ(words_of(*own), "");
  });
}

TEST(Nccl, ProgressTellsWhatIsStuck) {
  for_each_gpu_world([](Comm&, Gpu& gpu) {
    Progress p("gradients");
    EXPECT_EQ(words_of(p), "");
    EXPECT_EQ(p.issue(Collective::reduce_scatter, 268435456), 1u);
    EXPECT_EQ(words_of(p), "reduce-scatter of 268.4 MB of gradients (number 1) waits for earlier work of the GPU");
    p.begin(gpu.stream(), 1);
    gpu.synchronize();
    EXPECT_EQ(words_of(p), "reduce-scatter of 268.4 MB of gradients (number 1) has begun and not ended");
    p.issue(Collective::all_gather, 12);
    EXPECT_EQ(words_of(p), "reduce-scatter of 268.4 MB of gradients (number 1) has begun and not ended, after it 1 more waits");
    p.issue(Collective::all_reduce, 2500);
    p.end(gpu.stream(), 1);
    gpu.synchronize();
    EXPECT_EQ(words_of(p), "all-gather of 12 B of gradients (number 2) waits for earlier work of the GPU, after it 1 more waits");
    // As a replayed graph does: the numbers come again.
    for (uint64_t i : {2, 3}) p.begin(gpu.stream(), i), p.end(gpu.stream(), i);
    p.begin(gpu.stream(), 2);
    gpu.synchronize();
    EXPECT_EQ(words_of(p), "all-gather of 12 B of gradients (number 2) has begun and not ended, after it 1 more waits");
    char little[16];
    EXPECT_EQ(p.describe(little, sizeof little), 15u);
    EXPECT_STREQ(little, "all-gather of 1");
  });
}

}  // namespace
}  // namespace rk
#endif
