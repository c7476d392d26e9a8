#include "train/weights_export.h"

#include <algorithm>

#include "comm/agree.h"
#include "io/tensor_file.h"

namespace rk {

constexpr size_t kStagedBytes = size_t{16} << 20;  // on their way from a GPU at a time

// Writes a tensor, through `staging` where it lies on a GPU.
static void write_tensor(const Exec& ex, const Tensor& t, const Buffer& staging, TensorWriter& writer) {
  if (t.device != Device::cuda) return writer.write(t.data, t.n_bytes());
  const auto step = static_cast<int64_t>(staging.size() / size_of(t.dtype));
  for (int64_t at = 0; at < t.numel(); at += step) {
    const Tensor staged = staging.tensor(t.dtype, {std::min(step, t.numel() - at)});
    copy(ex, t.slice(at, staged.numel()), staged);
    synchronize(ex);
    writer.write(staged.data, staged.n_bytes());
  }
}

void export_weights(const Exec& ex, Model& model, Shards& shards, const std::string& path) {
  const bool writes = shards.comm().rank() == 0;
  std::unique_ptr<TensorWriter> writer;
  std::string error;  // rank 0's; the gathering goes on so that no rank waits for another
  const auto attempt = [&](const auto& action) {
    if (!writes || !error.empty()) return;
    try {
      action();
    } catch (const Error& e) {
      error = e.what();
    }
  };
  Buffer staging;
  attempt([&] {
    if (ex.device == Device::cuda) staging = Buffer(Device::pinned, kStagedBytes);
    std::vector<TensorInfo> infos;
    for (const Param& p : model.params.all()) {
      TensorInfo info;
      info.name = p.name;
      info.dtype = model.dtype;
      for (int i = 0; i < p.shape.rank; ++i) info.shape.push_back(p.shape[i]);
      infos.push_back(std::move(info));
    }
    writer = create_tensor_file(path, std::move(infos), {});
  });
  for (const Param& p : model.params.all()) {
    shards.acquire(p.unit);
    attempt([&] { write_tensor(ex, p.w, staging, *writer); });
    shards.release(p.unit);
  }
  attempt([&] { writer->finish(); });
  writer.reset();
  agree(shards.comm(), [&] {
    if (!error.empty()) fail(error, ExitCode::failure);
  });
}

}  // namespace rk
