"""Image operations: conversion, warping, masks, face color and person segmentation."""
