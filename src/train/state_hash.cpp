#include "train/state_hash.h"

#include "base/hex.h"
#include "base/rng.h"
#include "kernels/state_hash/op.h"

namespace rk {

StateHasher::StateHasher(const Exec& ex) : device_(ex), host_(ex), on_device_(ex.device, sizeof(int64_t)) { host_.device = Device::cpu; }

std::string StateHasher::of(Shards& shards, Comm& comm) {
  int64_t sum = 0, here = 0;
  const Tensor total{&sum, {1}, DType::i64, Device::cpu}, of_host{&here, {1}, DType::i64, Device::cpu};
  const Tensor of_device = on_device_.tensor(DType::i64, {1});
  copy(device_, total, of_device);
  const bool counts = shards.in_first_group();
  for (const OwnedPiece& p : counts ? shards.owned_pieces() : std::vector<OwnedPiece>{}) {
    // Frozen weights stay what they are.
    const std::pair<const char*, Tensor> parts[] = {{"master", p.master}, {"m", p.m}, {"v", p.v}};
    for (const auto& [part, x] : parts) {
      if (!x) continue;
      const bool there = x.device == Device::cuda;
      run(there ? device_ : host_,
          StateHash{.x = x, .out = there ? of_device : of_host, .key = stream_of((p.param->name + ":" + part).c_str()), .first = p.first});
    }
  }
  if (device_.device == Device::cuda) copy(device_, of_device, total);
  sum = static_cast<int64_t>(static_cast<uint64_t>(sum) + static_cast<uint64_t>(here));
  comm.host().all_reduce(total, Reduce::sum).wait();
  return hex(static_cast<uint64_t>(sum));
}

}  // namespace rk
