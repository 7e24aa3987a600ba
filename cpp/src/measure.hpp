// Rows of a matrix as they are compared, and distances between them in double precision.
#pragma once

#include <cstddef>
#include <vector>

#include "labelquorum/executor.hpp"
#include "labelquorum/neighbors.hpp"

namespace labelquorum {

class Measure {
public:
    Measure(Metric metric, std::size_t n_columns) : metric_(metric), n_columns_(n_columns) {}

    Metric metric() const { return metric_; }

    // The row as it is compared: for cosine of length 1, or all zeros.
    void read(const Points& points, std::size_t i, double* to) const;

    // Of rows that were read so. The square of a euclidean distance.
    double operator()(const double* a, const double* b) const;

    // What is given to the caller.
    double final_distance(double measured) const;

    // Below this, nothing is measured.
    double least() const;

private:
    double squared(const double* a, const double* b) const;
    bool is_zero(const double* row) const;

    Metric metric_;
    std::size_t n_columns_;
};

// Checks all values (std::invalid_argument that names the place), raises `largest` to the largest
// absolute value of the rows as they are compared, and adds their mean to `mean`, unless null. The
// mean depends, in its last bits, on the number of threads.
void survey(const Points& points, const char* name, const Measure& measure, double& largest,
            std::vector<double>* mean, const Executor& executor);

}  // namespace labelquorum
