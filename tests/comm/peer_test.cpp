// Collectives in memory that ranks told each other about: the same numbers, whoever carries them. On GPUs with links between them these are
// copies into each other's memory, elsewhere NCCL. Nothing happens where there is no GPU.
#ifdef ROOKERY_NCCL
#include <gtest/gtest.h>

#include "comm/nccl/nccl_comm.h"
#include "comm/worlds.h"
#include "device/exec.h"

namespace rk {
namespace {

class Shared {
 public:
  Shared(Comm& world, Gpu& gpu, DType dtype, int64_t n) : gpu_(gpu), comm_(world.twin("shared memory")), n_(n), size_(world.size()) {
    const auto all = static_cast<size_t>(n * size_), own = static_cast<size_t>(n);
    memory_ = Buffer(Device::cuda, (3 * all + own) * size_of(dtype));
    gathered_ = memory_.tensor(dtype, {n * size_});
    sent_ = memory_.tensor(dtype, {n * size_}, all * size_of(dtype));
    const Tensor inbox = memory_.tensor(dtype, {n * size_}, 2 * all * size_of(dtype));
    own_ = memory_.tensor(dtype, {n}, 3 * all * size_of(dtype));
    comm_->share(memory_.tensor(DType::u8, {static_cast<int64_t>(memory_.size())}), inbox);
  }
  Comm& comm() { return *comm_; }
  Tensor gathered() const { return gathered_; }
  Tensor sent() const { return sent_; }
  Tensor own() const { return own_; }

  void set(const Tensor& t, const std::function<int64_t(int64_t)>& value) {
    std::vector<float> wide(static_cast<size_t>(t.numel()));
    std::vector<bf16> narrow(wide.size());
    for (size_t i = 0; i < wide.size(); ++i) narrow[i] = bf16(wide[i] = static_cast<float>(value(static_cast<int64_t>(i))));
    Tensor source = t;
    source.device = Device::cpu;
    source.data = t.dtype == DType::f32 ? static_cast<void*>(wide.data()) : narrow.data();
    copy({.gpu = &gpu_}, source, t);
  }
  void expect(const Tensor& t, const std::function<int64_t(int64_t)>& value, const char* what) {
    std::vector<float> wide(static_cast<size_t>(t.numel()));
    std::vector<bf16> narrow(wide.size());
    Tensor on_host = t;
    on_host.device = Device::cpu;
    on_host.data = t.dtype == DType::f32 ? static_cast<void*>(wide.data()) : narrow.data();
    copy({.gpu = &gpu_}, t, on_host);
    for (size_t i = 0; i < wide.size(); ++i) {
      const float x = t.dtype == DType::f32 ? wide[i] : static_cast<float>(narrow[i]);
      ASSERT_EQ(x, static_cast<float>(value(static_cast<int64_t>(i)))) << what << " of " << name_of(t.dtype) << ", element " << i;
    }
  }

 private:
  Gpu& gpu_;
  std::unique_ptr<Comm> comm_;
  int64_t n_;
  int size_;
  Buffer memory_;
  Tensor gathered_, sent_, own_;
};

TEST(Peers, SharedMemoryGathersAndReducesLikeAnyOther) {
  test::for_each_world([](Comm& world) {
    Gpu* gpu = test::gpu_of(world);
    if (!gpu) return;
    for (DType dtype : {DType::f32, DType::bf16})
      for (int64_t n : {1, 7, 4096, 100003}) {
        Shared s(world, *gpu, dtype, n);
        const int me = world.rank(), size = world.size();
        const auto number = [&](int64_t i, int rank) { return (i + 3 * rank) % 9 - 4; };
        const auto slice = [&](const Tensor& t) { return t.slice(me * n, n); };
        const auto gathered = [&](int64_t i) { return number(i % n, static_cast<int>(i / n)); };
        const auto summed = [&](int64_t i) {
          int64_t sum = 0;
          for (int r = 0; r < size; ++r) sum += number(me * n + i, r);
          return sum;
        };
        for (int again = 0; again < 3; ++again) {  // a later one waits for what an earlier one still reads
          s.set(s.own(), [&](int64_t i) { return number(i, me); });
          s.comm().all_gather(s.own(), s.gathered()).wait();
          s.expect(s.gathered(), gathered, "all_gather");
          s.set(s.gathered(), [&](int64_t i) { return i / n == me ? number(i % n, me) : 99; });
          s.comm().all_gather(slice(s.gathered()), s.gathered()).wait();
          s.expect(s.gathered(), gathered, "all_gather in place");
          s.set(s.sent(), [&](int64_t i) { return number(i, me); });
          s.comm().reduce_scatter(s.sent(), s.own()).wait();
          s.expect(s.own(), summed, "reduce_scatter");
          s.comm().reduce_scatter(s.sent(), slice(s.sent())).wait();
          s.expect(slice(s.sent()), summed, "reduce_scatter in place");
        }
        gpu->synchronize();
      }
  });
}

}  // namespace
}  // namespace rk
#endif
