// Shared by the bindings that take rows of numbers.
#pragma once

#include <string>

#include "common.hpp"
#include "labelquorum/neighbors.hpp"

namespace labelquorum::bindings {

// Views a 2-D array of float16, float32 or float64 with any strides.
inline Points view_points(const py::array& array, const char* name) {
    if (array.ndim() != 2) {
        throw std::invalid_argument(std::string(name) + " must be 2-D, got " +
                                    std::to_string(array.ndim()) + "-D.");
    }
    Points points{array.data(),
                  FloatType::f64,
                  array.strides(0),
                  array.strides(1),
                  static_cast<std::size_t>(array.shape(0)),
                  static_cast<std::size_t>(array.shape(1))};
    const char kind = array.dtype().kind();
    const py::ssize_t size = array.itemsize();
    if (kind != 'f' || (size != 2 && size != 4 && size != 8)) {
        throw std::invalid_argument(
            std::string(name) + " must be float16, float32 or float64, got " +
            std::string(py::str(static_cast<py::object>(array.dtype()))) + ".");
    }
    if (size == 2) points.type = FloatType::f16;
    if (size == 4) points.type = FloatType::f32;
    return points;
}

inline Metric metric_of(const std::string& name) {
    if (name == "euclidean") return Metric::euclidean;
    if (name == "cosine") return Metric::cosine;
    if (name == "inner_product") return Metric::inner_product;
    throw std::invalid_argument("metric must be one of euclidean, cosine, inner_product, got \"" +
                                name + "\".");
}

inline bool any_is_double(const Points& points, const Points& queries) {
    return points.type == FloatType::f64 || queries.type == FloatType::f64;
}

// Distances and indices as arrays of shape (n, k).
template <class Distance>
py::tuple to_arrays(Neighbors<Distance>&& neighbors) {
    const auto k = static_cast<py::ssize_t>(neighbors.k);
    const auto n = static_cast<py::ssize_t>(neighbors.indices.size()) / k;
    return py::make_tuple(to_array(std::move(neighbors.distances), {n, k}),
                          to_array(std::move(neighbors.indices), {n, k}));
}

}  // namespace labelquorum::bindings
