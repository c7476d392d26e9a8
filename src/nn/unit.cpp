#include "nn/unit.h"

namespace rk {

std::vector<Param*> Model::params_of(int unit) {
  std::vector<Param*> found;
  for (Param& p : params.all())
    if (p.unit == unit) found.push_back(&p);
  return found;
}

}  // namespace rk
