#include "io/tensor_file.h"

#include <algorithm>

#include "base/error.h"
#include "io/convert.h"
#include "io/utf8.h"

namespace rk {

int TensorReader::find(std::string_view name) const {
  const std::vector<TensorInfo>& infos = tensors();
  for (size_t i = 0; i < infos.size(); ++i)
    if (infos[i].name == name) return static_cast<int>(i);
  return -1;
}

template <class T>
void TensorReader::read_as(size_t index, int64_t first, int64_t n, T* destination) {
  const TensorInfo& t = tensors().at(index);
  if (t.dtype == dtype_of<T>) return read(index, first, n, destination);
  constexpr int64_t block = int64_t{1} << 18;
  std::vector<std::byte> stored(static_cast<size_t>(std::min(n, block)) * size_of(t.dtype));
  for (int64_t i = 0; i < n; i += block) {
    const int64_t m = std::min(block, n - i);
    read(index, first + i, m, stored.data());
    const int64_t done = convert_elements(t.dtype, stored.data(), dtype_of<T>, destination + i, m);
    require(done == m, "every number can become a float");
  }
}

template void TensorReader::read_as<double>(size_t, int64_t, int64_t, double*);
template void TensorReader::read_as<float>(size_t, int64_t, int64_t, float*);
template void TensorReader::read_as<bf16>(size_t, int64_t, int64_t, bf16*);

}  // namespace rk
