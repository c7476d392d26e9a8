// HDF5 files of named tensors: one dataset a tensor, under its name.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/tensor_file.h"

namespace rk {

std::unique_ptr<TensorReader> open_h5(const std::string& path);
std::unique_ptr<TensorWriter> create_h5(const std::string& path, std::vector<TensorInfo> infos,
                                        const std::map<std::string, std::string>& metadata);

}  // namespace rk
